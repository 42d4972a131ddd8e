// SPDX-License-Identifier: Apache-2.0
/* model/assertion: the times to the second, and the printed text to the byte. */
#include "model/assertion.h"
#include <criterion/criterion.h>
#include <string.h>

#define NOW 1000000.0

/* good: a WIT of 3 000 s more, a WPT of 30 s made 2 s ago, leeway 30. Each row changes one time. */
Test(assertion, times)
{
	static const struct {
		const char *what;
		double wit_exp, wit_nbf, iat, exp;
		enum reason must;
	} rows[] = {
		{ "good", 3000, -60, -2, 28, REASON_OK },
		{ "no nbf", 3000, -NOW, -2, 28, REASON_OK },
		{ "WIT one second inside", -29, -60, -2, 28, REASON_OK },
		{ "WIT exactly at leeway", -30, -60, -2, 28, REASON_EXPIRED },
		{ "WIT an hour and leeway ahead", 3630, -60, -2, 28, REASON_OK },
		{ "WIT a second more", 3631, -60, -2, 28, REASON_LIFE },
		{ "nbf at leeway", 3000, 30, -2, 28, REASON_OK },
		{ "nbf beyond it", 3000, 30.5, -2, 28, REASON_NOT_YET },
		{ "WPT one second inside", 3000, -60, -59, -29, REASON_OK },
		{ "WPT exactly at leeway", 3000, -60, -60, -30, REASON_EXPIRED },
		{ "WPT 60 s long", 3000, -60, -2, 58, REASON_OK },
		{ "WPT 61 s long", 3000, -60, -2, 59, REASON_LIFE },
		{ "iat at leeway", 3000, -60, 30, 60, REASON_OK },
		{ "iat beyond it", 3000, -60, 31, 60, REASON_NOT_YET },
		{ "the farthest exp", 3000, -60, 30, 90, REASON_OK },
		{ "exp before iat", 3000, -60, 10, 5, REASON_LIFE },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct wit wit = { .exp = NOW + rows[i].wit_exp, .nbf = NOW + rows[i].wit_nbf };
		struct wpt wpt = { .iat = NOW + rows[i].iat, .exp = NOW + rows[i].exp };

		cr_assert_eq(assertion_times(&wit, &wpt, NOW, 30, 60), rows[i].must, "%s",
			     rows[i].what);
	}
}

Test(assertion, a_shorter_life_may_be_demanded)
{
	struct wit wit = { .exp = NOW + 100 };
	struct wpt wpt = { .iat = NOW, .exp = NOW + 30 };

	cr_assert_eq(assertion_times(&wit, &wpt, NOW, 30, 30), REASON_OK);
	cr_assert_eq(assertion_times(&wit, &wpt, NOW, 30, 29), REASON_LIFE);
	cr_assert_eq(assertion_times(&wit, &wpt, NOW, 0, 60), REASON_OK);
}

Test(assertion, wit_to_the_byte)
{
	struct wit wit = { .sub = "spiffe://d/a",
			   .iss = "spiffe://d/host/h",
			   .jti = "j\"1",
			   .exp = 99.9,
			   .nbf = 2,
			   .iat = 3,
			   .ueid = { 1 } };
	char at[2048];
	struct text t;

	text_init(&t, at, sizeof(at));
	assertion_print_wit_header(&t, "kid");
	cr_assert_str_eq(at, "{\"alg\":\"ES256\",\"typ\":\"wit+jwt\",\"kid\":\"kid\"}");
	text_init(&t, at, sizeof(at));
	assertion_print_wit(&t, &wit);
	cr_assert_str_eq(
		at,
		"{\"iss\":\"spiffe://d/host/h\",\"sub\":\"spiffe://d/a\",\"iat\":3,\"nbf\":2,\"exp\":99,"
		"\"jti\":\"j\\\"1\",\"cnf\":{\"jwk\":{\"kty\":\"EC\",\"crv\":\"P-256\","
		"\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
		"\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"alg\":\"ES256\"}},"
		"\"ueid\":\"AQAAAAAAAAAAAAAAAAAAAAA\",\"bootseed\":\"AAAAAAAAAAAAAAAAAAAAAA\"}");
}

Test(assertion, wpt_to_the_byte)
{
	struct wpt wpt = { .aud = "spiffe://d/b",
			   .jti = "j",
			   .iat = 1,
			   .exp = 31,
			   .role = CLEAT_ROLE_SERVER,
			   .level = CLEAT_LEVEL_REDUCED,
			   .est_ms = 1234,
			   .seq = SEQ_MAX };
	char at[2048];
	struct text t;

	text_init(&t, at, sizeof(at));
	assertion_print_wpt_header(&t);
	cr_assert_str_eq(at, "{\"alg\":\"ES256\",\"typ\":\"wpt+jwt\"}");
	text_init(&t, at, sizeof(at));
	assertion_print_wpt(&t, &wpt);
	cr_assert_str_eq(
		at, "{\"aud\":\"spiffe://d/b\",\"iat\":1,\"exp\":31,\"jti\":\"j\","
		    "\"wth\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
		    "\"cleat/conn\":{\"v\":1,\"role\":\"server\","
		    "\"cb\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
		    "\"est\":1234,\"seq\":9007199254740991},"
		    "\"cleat/proc\":{\"inst\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"},"
		    "\"cleat/level\":\"reduced\"}");
	wpt.has_ns = wpt.has_exe = wpt.has_ath = wpt.has_tth = true;
	strcpy(wpt.unit, "a.service");
	text_init(&t, at, sizeof(at));
	assertion_print_wpt(&t, &wpt);
	cr_assert(strstr(at, "\"seq\":9007199254740991,\"ns\":\"AAA"));
	cr_assert(strstr(at, ",\"exe\":\"AAA") && strstr(at, ",\"unit\":\"a.service\"}"));
	cr_assert(strstr(at, ",\"ath\":\"AAA") && strstr(at, ",\"tth\":\"AAA"));
}

Test(assertion, no_room_is_noticed)
{
	struct wit wit = { .sub = "spiffe://d/a" };
	char at[100];
	struct text t;

	text_init(&t, at, sizeof(at));
	assertion_print_wit(&t, &wit);
	cr_assert(t.overflown);
}

Test(assertion, words)
{
	cr_assert_str_eq(role_word(CLEAT_ROLE_CLIENT), "client");
	cr_assert_str_eq(role_word(CLEAT_ROLE_SERVER), "server");
	cr_assert_str_eq(role_word(7), "none");
	cr_assert_str_eq(level_word(CLEAT_LEVEL_FULL), "full");
	cr_assert_str_eq(level_word(CLEAT_LEVEL_REDUCED), "reduced");
	cr_assert_str_eq(level_word(7), "none");
}
