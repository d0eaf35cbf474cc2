# bash completion for handlerctl

# What a daemon answers; it is not waited for long.
_handlerctl_ask()
{
	local place=()
	[[ -n $1 ]] && place=(--control "$1")
	timeout 2 handlerctl "${place[@]}" "$2" --json 2>/dev/null
}

_handlerctl_listeners()
{
	# of a listener the protocol stands behind the name, of a handler something else
	_handlerctl_ask "$1" status |
		grep -oE '"name": ?"[^"\\]*", ?"protocol"' |
		sed -E 's/^"name": ?"([^"]*)".*/\1/'
}

_handlerctl_ids()
{
	_handlerctl_ask "$1" connections | grep -oE '"id": ?[0-9]+' | grep -oE '[0-9]+'
}

_handlerctl()
{
	local commands='status reload stop pause drain resume connections explain bans kill log-level
		wait upgrade send'
	local word=${COMP_WORDS[COMP_CWORD]} before='' command='' control='' options i
	COMPREPLY=()

	((COMP_CWORD > 0)) && before=${COMP_WORDS[COMP_CWORD - 1]}
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--control)
			# bash takes "=" for a word of its own
			i=$((i + 1))
			[[ ${COMP_WORDS[i]} == '=' ]] && i=$((i + 1))
			((i < COMP_CWORD)) && control=${COMP_WORDS[i]}
			;;
		-*) ;;
		*) [[ -z $command ]] && command=${COMP_WORDS[i]} ;;
		esac
	done
	# a path that is written as the shell wants it
	control=${control/#\~\//${HOME:-}/}

	[[ $before == '=' ]] && before=${COMP_WORDS[COMP_CWORD - 2]}
	[[ $word == '=' ]] && word=''
	case $before in
	--control)
		compopt -o filenames 2>/dev/null || true
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return 0
		;;
	--timeout | --interval | --count | --gid)
		return 0
		;;
	esac

	if [[ $word == -* ]]; then
		case $command in
		'') options='--control --help --version' ;;
		send) options='--timeout --half-close --count --interval --json --help' ;;
		*) options='--control --json --help' ;;
		esac
		case $command in
		status) options+=' --verbose' ;;
		reload) options+=' --dry-run' ;;
		stop) options+=' --now' ;;
		explain) options+=' --gid' ;;
		bans) options+=' --clear' ;;
		wait) options+=' --timeout' ;;
		esac
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
		return 0
	fi

	case $command in
	'') options=$commands ;;
	status | connections | pause | drain | resume | explain) options=$(_handlerctl_listeners "$control") ;;
	kill) options=$(_handlerctl_ids "$control") ;;
	log-level) options='error warning notice info debug' ;;
	wait) options='ready' ;;
	*) return 0 ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
}

complete -F _handlerctl handlerctl
