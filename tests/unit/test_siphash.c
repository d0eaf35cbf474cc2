/*
 * test_siphash.c - the published vectors.
 */
#include "base/siphash.h"

#include "unit.h"

static struct siphash_key key;
static unsigned char message[64];

static void
set_up(void)
{
	unsigned char bytes[16];

	for (unsigned char i = 0; i < 16; i++)
		bytes[i] = i;
	for (size_t i = 0; i < 2; i++) {
		key.words[i] = 0;
		for (size_t k = 8; k-- > 0;)
			key.words[i] = key.words[i] << 8 | bytes[8 * i + k];
	}
	for (unsigned char i = 0; i < sizeof(message); i++)
		message[i] = i;
}

static const struct {
	size_t size;
	uint64_t hash;
} vectors[] = {
	{0, UINT64_C(0x726fdb47dd0e0e31)},  {1, UINT64_C(0x74f839c593dc67fd)},
	{2, UINT64_C(0x0d6c8009d9a94f5a)},  {3, UINT64_C(0x85676696d7fb7e2d)},
	{7, UINT64_C(0xab0200f58b01d137)},  {8, UINT64_C(0x93f5f5799a932462)},
	{15, UINT64_C(0xa129ca6149be45e5)}, {63, UINT64_C(0x958a324ceb064572)},
};

START_TEST(hash_is_as_published)
{
	ck_assert_uint_eq(siphash(&key, message, vectors[_i].size), vectors[_i].hash);
}
END_TEST

START_TEST(hash_depends_on_every_bit_of_key_and_message)
{
	uint64_t hash = siphash(&key, message, 16);

	for (unsigned bit = 0; bit < 128; bit++) {
		struct siphash_key other = key;

		other.words[bit / 64] ^= UINT64_C(1) << (bit % 64);
		ck_assert_uint_ne(siphash(&other, message, 16), hash);
		message[bit / 8] ^= (unsigned char)(1U << (bit % 8));
		ck_assert_uint_ne(siphash(&key, message, 16), hash);
		message[bit / 8] ^= (unsigned char)(1U << (bit % 8));
	}
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("siphash");

	tcase_add_checked_fixture(cases, set_up, NULL);
	tcase_add_loop_test(cases, hash_is_as_published, 0, UNIT_COUNT(vectors));
	tcase_add_test(cases, hash_depends_on_every_bit_of_key_and_message);
	return unit_run("siphash", cases);
}
