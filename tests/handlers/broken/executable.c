/*
 * executable - a program.
 */
int
main(void)
{
	return 0;
}
