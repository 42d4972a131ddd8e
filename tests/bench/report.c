// SPDX-License-Identifier: Apache-2.0
/* The rows: a table for people, a JSON array for programs. */
#include "bench.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ROWS_MAX 64

struct shown {
	struct row row;
	bool measured;
	char why[256];
};

static struct shown rows[ROWS_MAX];
static unsigned count;

static struct shown *row_new(const struct row *row)
{
	struct shown *s = &rows[count < ROWS_MAX - 1 ? count++ : count];

	s->row = *row;
	return s;
}

static double ratio(const struct row *r)
{
	if (r->ratio > 0)
		return r->ratio;
	return r->baseline > 0 ? r->value / r->baseline : 0;
}

static bool kept_budget(const struct shown *s)
{
	const struct row *r = &s->row;

	if (!s->measured)
		return false;
	switch (r->kind) {
	case BUDGET_RATIO_MIN:
		return ratio(r) >= r->budget;
	case BUDGET_RATIO_MAX:
		return ratio(r) > 0 && ratio(r) <= r->budget;
	case BUDGET_VALUE_MAX:
		return r->value <= r->budget;
	}
	return false;
}

static const char *budget_text(const struct row *r, char *ret, size_t cap)
{
	switch (r->kind) {
	case BUDGET_RATIO_MIN:
		snprintf(ret, cap, ">= %.2f", r->budget);
		break;
	case BUDGET_RATIO_MAX:
		snprintf(ret, cap, "<= %.2f", r->budget);
		break;
	case BUDGET_VALUE_MAX:
		snprintf(ret, cap, "<= %.0f %s", r->budget, r->unit);
		break;
	}
	return ret;
}

void report_row(const struct row *row)
{
	row_new(row)->measured = true;
}

void report_missing(const struct row *row, const char *why)
{
	struct shown *s = row_new(row);

	s->measured = false;
	snprintf(s->why, sizeof(s->why), "%s", why);
}

void report_note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("  ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
	fflush(stdout);
}

void report_series(const char *what, const struct series *s)
{
	char text[128];

	report_note("%-44s us: %s", what, series_text(s, text, sizeof(text)));
}

void report_table(void)
{
	unsigned missed = 0;
	char budget[48];

	printf("\n%-26s %12s %-8s %12s %7s  %-13s %s\n", "what", "value", "unit", "baseline",
	       "ratio", "budget", "");
	for (unsigned i = 0; i < count; i++) {
		const struct row *r = &rows[i].row;

		budget_text(r, budget, sizeof(budget));
		missed += !kept_budget(&rows[i]);
		if (!rows[i].measured)
			printf("%-26s %12s %-8s %12s %7s  %-13s not measured: %s\n", r->name, "-",
			       r->unit, "-", "-", budget, rows[i].why);
		else
			printf("%-26s %12.1f %-8s %12.1f %7.3f  %-13s %s\n", r->name, r->value,
			       r->unit, r->baseline, ratio(r), budget,
			       kept_budget(&rows[i]) ? "ok" : "MISSED");
	}
	printf("\nagainst what, and how:\n");
	for (unsigned i = 0; i < count; i++)
		printf("  %s: against %s; %s\n", rows[i].row.name, rows[i].row.against,
		       rows[i].row.method);
	printf("\n%u rows, %u within budget, %u missed\n", count, count - missed, missed);
}

static void json_number(FILE *f, const char *name, double value, bool known)
{
	if (known && isfinite(value))
		fprintf(f, "\"%s\":%.6g,", name, value);
	else
		fprintf(f, "\"%s\":null,", name);
}

/* Names, units and methods are this program's own words: nothing in them needs escaping. */
static void json_row(FILE *f, const struct shown *s)
{
	static const char *const kinds[] = { "ratio-min", "ratio-max", "value-max" };
	const struct row *r = &s->row;

	fprintf(f, "{\"name\":\"%s\",", r->name);
	json_number(f, "value", r->value, s->measured);
	fprintf(f, "\"unit\":\"%s\",", r->unit);
	json_number(f, "baseline", r->baseline, s->measured);
	json_number(f, "ratio", ratio(r), s->measured);
	json_number(f, "budget", r->budget, true);
	fprintf(f, "\"ok\":%s,\"budget_kind\":\"%s\",\"against\":\"%s\",\"method\":\"%s\"}",
		kept_budget(s) ? "true" : "false", kinds[r->kind], r->against,
		s->measured ? r->method : "not measured");
}

int report_write(const char *path)
{
	FILE *f = fopen(path, "we");

	if (!f)
		return -1;
	fprintf(f, "[\n");
	for (unsigned i = 0; i < count; i++) {
		json_row(f, &rows[i]);
		fprintf(f, i + 1 < count ? ",\n" : "\n");
	}
	fprintf(f, "]\n");
	return fclose(f);
}
