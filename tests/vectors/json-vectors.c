// SPDX-License-Identifier: Apache-2.0
/*
 * json-vectors FILE...: JSONTestSuite (vectors/jsonparse/jsontestsuite.json) through the daemon's own JSON reading,
 * twice. The syntax layer takes any value and must agree with the suite (95 accept, 188 refuse, 35 either), but for
 * the few that the rules of token.md 2.8 refuse; as claims, only objects may pass. Every one of the 95 that a rule of
 * ours refuses stands below by name with the rule.
 */
#include "vectors.h"

enum rule {
	NONE,
	ARRAY,	     /* claims are an object */
	SCALAR,	     /* claims are an object */
	DUPLICATE,   /* a name twice, compared after unescaping */
	NUL_IN_NAME, /* no claim has such a name, and C strings would end there */
};

static const struct {
	const char *name;
	enum rule rule;
} refused[] = {
	{ "y_array_arraysWithSpaces.json", ARRAY },
	{ "y_array_empty-string.json", ARRAY },
	{ "y_array_empty.json", ARRAY },
	{ "y_array_ending_with_newline.json", ARRAY },
	{ "y_array_false.json", ARRAY },
	{ "y_array_heterogeneous.json", ARRAY },
	{ "y_array_null.json", ARRAY },
	{ "y_array_with_1_and_newline.json", ARRAY },
	{ "y_array_with_leading_space.json", ARRAY },
	{ "y_array_with_several_null.json", ARRAY },
	{ "y_array_with_trailing_space.json", ARRAY },
	{ "y_number.json", ARRAY },
	{ "y_number_0e+1.json", ARRAY },
	{ "y_number_0e1.json", ARRAY },
	{ "y_number_after_space.json", ARRAY },
	{ "y_number_double_close_to_zero.json", ARRAY },
	{ "y_number_int_with_exp.json", ARRAY },
	{ "y_number_minus_zero.json", ARRAY },
	{ "y_number_negative_int.json", ARRAY },
	{ "y_number_negative_one.json", ARRAY },
	{ "y_number_negative_zero.json", ARRAY },
	{ "y_number_real_capital_e.json", ARRAY },
	{ "y_number_real_capital_e_neg_exp.json", ARRAY },
	{ "y_number_real_capital_e_pos_exp.json", ARRAY },
	{ "y_number_real_exponent.json", ARRAY },
	{ "y_number_real_fraction_exponent.json", ARRAY },
	{ "y_number_real_neg_exp.json", ARRAY },
	{ "y_number_real_pos_exponent.json", ARRAY },
	{ "y_number_simple_int.json", ARRAY },
	{ "y_number_simple_real.json", ARRAY },
	{ "y_object_duplicated_key.json", DUPLICATE },
	{ "y_object_duplicated_key_and_value.json", DUPLICATE },
	{ "y_object_escaped_null_in_key.json", NUL_IN_NAME },
	{ "y_string_1_2_3_bytes_UTF-8_sequences.json", ARRAY },
	{ "y_string_accepted_surrogate_pair.json", ARRAY },
	{ "y_string_accepted_surrogate_pairs.json", ARRAY },
	{ "y_string_allowed_escapes.json", ARRAY },
	{ "y_string_backslash_and_u_escaped_zero.json", ARRAY },
	{ "y_string_backslash_doublequotes.json", ARRAY },
	{ "y_string_comments.json", ARRAY },
	{ "y_string_double_escape_a.json", ARRAY },
	{ "y_string_double_escape_n.json", ARRAY },
	{ "y_string_escaped_control_character.json", ARRAY },
	{ "y_string_escaped_noncharacter.json", ARRAY },
	{ "y_string_in_array.json", ARRAY },
	{ "y_string_in_array_with_leading_space.json", ARRAY },
	{ "y_string_last_surrogates_1_and_2.json", ARRAY },
	{ "y_string_nbsp_uescaped.json", ARRAY },
	{ "y_string_nonCharacterInUTF-8_U+10FFFF.json", ARRAY },
	{ "y_string_nonCharacterInUTF-8_U+FFFF.json", ARRAY },
	{ "y_string_null_escape.json", ARRAY },
	{ "y_string_one-byte-utf-8.json", ARRAY },
	{ "y_string_pi.json", ARRAY },
	{ "y_string_reservedCharacterInUTF-8_U+1BFFF.json", ARRAY },
	{ "y_string_simple_ascii.json", ARRAY },
	{ "y_string_space.json", SCALAR },
	{ "y_string_surrogates_U+1D11E_MUSICAL_SYMBOL_G_CLEF.json", ARRAY },
	{ "y_string_three-byte-utf-8.json", ARRAY },
	{ "y_string_two-byte-utf-8.json", ARRAY },
	{ "y_string_u+2028_line_sep.json", ARRAY },
	{ "y_string_u+2029_par_sep.json", ARRAY },
	{ "y_string_uEscape.json", ARRAY },
	{ "y_string_uescaped_newline.json", ARRAY },
	{ "y_string_unescaped_char_delete.json", ARRAY },
	{ "y_string_unicode.json", ARRAY },
	{ "y_string_unicodeEscapedBackslash.json", ARRAY },
	{ "y_string_unicode_2.json", ARRAY },
	{ "y_string_unicode_U+10FFFE_nonchar.json", ARRAY },
	{ "y_string_unicode_U+1FFFE_nonchar.json", ARRAY },
	{ "y_string_unicode_U+200B_ZERO_WIDTH_SPACE.json", ARRAY },
	{ "y_string_unicode_U+2064_invisible_plus.json", ARRAY },
	{ "y_string_unicode_U+FDD0_nonchar.json", ARRAY },
	{ "y_string_unicode_U+FFFE_nonchar.json", ARRAY },
	{ "y_string_unicode_escaped_double_quote.json", ARRAY },
	{ "y_string_utf8.json", ARRAY },
	{ "y_string_with_del_character.json", ARRAY },
	{ "y_structure_lonely_false.json", SCALAR },
	{ "y_structure_lonely_int.json", SCALAR },
	{ "y_structure_lonely_negative_real.json", SCALAR },
	{ "y_structure_lonely_null.json", SCALAR },
	{ "y_structure_lonely_string.json", SCALAR },
	{ "y_structure_lonely_true.json", SCALAR },
	{ "y_structure_string_empty.json", SCALAR },
	{ "y_structure_trailing_newline.json", ARRAY },
	{ "y_structure_true_in_array.json", ARRAY },
	{ "y_structure_whitespace_array.json", ARRAY },
};

static enum rule rule_of(const char *name)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (!strcmp(refused[i].name, name))
			return refused[i].rule;
	return NONE;
}

static bool hash_is(const char *bytes, size_t len, const char *hex)
{
	uint8_t is[32], must[32];

	return sig_sha256(bytes, len, is) == 0 && hex_decode(hex, strlen(hex), must, 32) == 0 &&
	       !memcmp(is, must, 32);
}

/* The inputs that are described: a short text repeated, perhaps ended by a newline; its hash tells. */
static char *generated(const json_t *how, size_t *ret_len)
{
	const char *shown = text_of(how, "repeat_of"), *hash = text_of(how, "sha256");
	size_t len = (size_t)json_integer_value(json_object_get(how, "bytes"));
	char *at = calloc(1, len + 1);
	size_t period = 1;

	while (strncmp(shown, shown + period, strlen(shown) - period) != 0)
		period++;
	for (size_t i = 0; at && i < len; i++)
		at[i] = shown[i % period];
	*ret_len = len;
	if (at && hash_is(at, len, hash))
		return at;
	if (at && len)
		at[len - 1] = '\n';
	if (at && hash_is(at, len, hash))
		return at;
	free(at);
	return NULL;
}

/* Padded standard base64, as the file has it, through our own base64url. */
static char *decoded(const char *b64, size_t *ret_len)
{
	owned_mem char *url = strdup(b64);
	char *at = malloc(strlen(b64) + 1);
	size_t len = strcspn(b64, "=");

	for (size_t i = 0; url && i < len; i++)
		url[i] = url[i] == '+' ? '-' : url[i] == '/' ? '_' : url[i];
	if (url && at && b64url_decode(url, len, at, len, ret_len) == 0)
		return at;
	free(at);
	return NULL;
}

static bool accepts(const char *bytes, size_t len, enum json_top top)
{
	char error[256] = "";
	owned(json_owned) json_t *j = json_parse(bytes, len, top, error, sizeof(error));

	return j != NULL && error[0] == '\0';
}

static void run_case(struct tally *t, const json_t *c)
{
	const json_t *how = json_object_get(c, "generated");
	const char *name = text_of(c, "name"), *expect = text_of(c, "expect");
	size_t len = 0;
	owned_mem char *bytes = how ? generated(how, &len) : decoded(text_of(c, "b64"), &len);
	bool must = !strcmp(expect, "accept"), either = !strcmp(expect, "either");
	enum rule rule = rule_of(name);
	bool any, object;

	if (!bytes) {
		judge(t, false, "%s: its bytes cannot be made", name);
		return;
	}
	any = accepts(bytes, len, JSON_TOP_ANY);
	object = accepts(bytes, len, JSON_TOP_OBJECT);
	if (either) {
		judge(t, any || !object, "%s: refused as a value, taken as claims", name);
		return;
	}
	if (any != (must && rule != DUPLICATE && rule != NUL_IN_NAME))
		judge(t, false, "%s: %s, but the syntax layer says otherwise", name, expect);
	else
		judge(t, object == (must && rule == NONE), "%s: %s, but as claims it is %s", name,
		      expect, object ? "taken" : "refused");
}

static void run_file(struct tally *t, const char *path)
{
	owned(json_owned) json_t *set = load(t, path);
	const json_t *cases = json_object_get(set, "cases");

	for (size_t i = 0; i < json_array_size(cases); i++)
		run_case(t, json_array_get(cases, i));
}

int main(int argc, char **argv)
{
	return run_files(argc, argv, run_file);
}
