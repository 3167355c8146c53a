/* score_out.c — verdicts by group and by how often an answer is stated, as a table and as JSON. */
#include "trainer/run/score.h"
#include <stdio.h>

ScoreCount score_count(const QuestionSet *set, int group, int64_t first, int64_t last)
{
    ScoreCount count = {0};
    for (int64_t i = 0; i < set->n; i++) {
        const Question *q = &set->q[i];
        if (group < SCORE_ALL && (int)q->group != group) continue;
        if (q->statements < first || q->statements > last) continue;
        if (count.n == 0 || q->statements < count.least_statements)
            count.least_statements = q->statements;
        count.n_statement += q->statements;
        count.n++;
        count.verdict[q->verdict]++;
    }
    return count;
}

static const struct {
    const char *name;
    int64_t first, last;
} BINS[] = {{"0-19", 0, 19}, {"20-39", 20, 39}, {"40-79", 40, 79}, {"80+", 80, INT64_MAX}};

static const char *group_name(int group)
{
    return group < SCORE_ALL ? world_group_name((WorldGroup)group) : "all";
}

static const char *verdict_name(Verdict v)
{
    static const char *const NAMES[] = {"right", "old_answer", "neither"};
    return NAMES[v];
}

static double percent(const ScoreCount *s, Verdict v)
{
    return 100 * (double)s->verdict[v] / (double)s->n;
}

static double mean_statements(const ScoreCount *s)
{
    return (double)s->n_statement / (double)s->n;
}

static void text_row(Text *out, const char *group, const char *stated, const ScoreCount *s)
{
    text_printf(out, "%-10s %20s %6lld %6lld  %5.1f %%     %5.1f %%  %5.1f %%\n", group, stated,
                LL(s->n), LL(s->verdict[VERDICT_RIGHT]), percent(s, VERDICT_RIGHT),
                percent(s, VERDICT_OLD), percent(s, VERDICT_NEITHER));
}

void score_text(const QuestionSet *set, Text *out)
{
    text_printf(out, "%-10s %20s %6s %6s %17s %8s\n", "group", "stated", "asked", "right",
                "old answer", "neither");
    for (int g = 0; g <= SCORE_ALL; g++) {
        const ScoreCount whole = score_count(set, g, 0, INT64_MAX);
        char stated[64];
        if (whole.n == 0) continue;
        snprintf(stated, sizeof stated, "mean %.0f, least %lld", mean_statements(&whole),
                 LL(whole.least_statements));
        text_row(out, group_name(g), stated, &whole);
        for (int64_t b = 0; b < N_OF(BINS); b++) {
            const ScoreCount part = score_count(set, g, BINS[b].first, BINS[b].last);
            if (part.n > 0) text_row(out, "", BINS[b].name, &part);
        }
    }
}

static void json_count(Text *out, const ScoreCount *s)
{
    text_printf(out, "\"asked\": %lld", LL(s->n));
    for (Verdict v = 0; v < N_VERDICT; v++)
        text_printf(out, ", \"%s\": %lld", verdict_name(v), LL(s->verdict[v]));
    text_add(out, ", \"right_percent\": ");
    text_json_number(out, percent(s, VERDICT_RIGHT));
    text_add(out, ", \"statements_mean\": ");
    text_json_number(out, mean_statements(s));
    text_printf(out, ", \"statements_least\": %lld", LL(s->least_statements));
}

static void json_group(Text *out, const QuestionSet *set, int group, const ScoreCount *whole)
{
    const char *comma = "";
    text_printf(out, "{\"group\": \"%s\", ", group_name(group));
    json_count(out, whole);
    text_add(out, ", \"by_statements\": [");
    for (int64_t b = 0; b < N_OF(BINS); b++) {
        const ScoreCount part = score_count(set, group, BINS[b].first, BINS[b].last);
        if (part.n == 0) continue;
        text_printf(out, "%s{\"statements\": \"%s\", ", comma, BINS[b].name);
        json_count(out, &part);
        text_add(out, "}");
        comma = ", ";
    }
    text_add(out, "]}");
}

static void json_answer(Text *out, const Question *q)
{
    text_add(out, "{\"question\": ");
    text_json_string(out, q->question);
    text_add(out, ", \"answer\": ");
    text_json_string(out, q->answer);
    text_add(out, ", \"given\": ");
    text_json_string(out, q->given);
    text_printf(out, ", \"group\": \"%s\", \"verdict\": \"%s\"}", world_group_name(q->group),
                verdict_name(q->verdict));
}

void score_json(const QuestionSet *set, Text *out)
{
    const char *comma = "";
    text_printf(out, "{\"in_file\": %lld, \"asked\": %lld, \"groups\": [", LL(set->n_file),
                LL(set->n));
    for (int g = 0; g <= SCORE_ALL; g++) {
        const ScoreCount whole = score_count(set, g, 0, INT64_MAX);
        if (whole.n == 0) continue;
        text_printf(out, "%s\n  ", comma);
        json_group(out, set, g, &whole);
        comma = ",";
    }
    text_add(out, "],\n \"answers\": [");
    comma = "";
    for (int64_t i = 0; i < set->n; i++, comma = ",") {
        text_printf(out, "%s\n  ", comma);
        json_answer(out, &set->q[i]);
    }
    text_add(out, "]}");
}
