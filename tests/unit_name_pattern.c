/* unit_name_pattern.c — whole names and beginnings, and what is no pattern. */
#include "tests/test_helper.h"
#include "trainer/io/name_pattern.h"
#include <string.h>

static bool matches(const char *text, const char *name, NameMatch how)
{
    NamePattern *p = NULL;
    bool yes;
    T_OK(name_pattern_create(text, (int64_t)strlen(text), &p));
    T_OK(name_pattern_matches(p, name, how, &yes));
    name_pattern_destroy(p);
    return yes;
}

START_TEST(whole_names_and_beginnings)
{
    const char *const name = "model.layers.10.self_attn.q_proj";
    T_TRUE(matches("model\\.layers\\.1\\d\\..*\\.(q|v)_proj", name, NAME_WHOLE));
    T_TRUE(!matches("layers\\.10.*", name, NAME_WHOLE)); /* not from the first byte */
    T_TRUE(!matches("model\\.layers\\.10", name, NAME_WHOLE));
    T_TRUE(matches("model\\.layers\\.10", name, NAME_START));
    T_TRUE(!matches("layers", name, NAME_START));
    T_TRUE(!matches("model.layers.(1|11)\\.", name, NAME_START));
    /* another branch is tried when the first one does not reach the end, as Python's fullmatch does */
    T_TRUE(matches("(model|model\\.layers\\.10.*)", name, NAME_WHOLE));
}
END_TEST

START_TEST(says_what_is_no_pattern)
{
    NamePattern *p = NULL;
    T_FAILS(name_pattern_create("a(b", 3, &p), CONFIG, "\"a(b\" is no regular expression: missing");
    T_FAILS(name_pattern_create("layers.[0-9", 11, &p), CONFIG, "after 11 characters");
    T_TRUE(!p);
    T_OK(name_pattern_create("q_proj\nrest", 6, &p)); /* no NUL behind it */
    bool yes;
    T_OK(name_pattern_matches(p, "q_proj", NAME_WHOLE, &yes));
    T_TRUE(yes);
    name_pattern_destroy(p);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(stops_where_backtracking_explodes)
{
    static const char TEXT[] = "(?:(?:a+)+)+[xz]";
    NamePattern *p = NULL;
    bool yes;
    T_OK(name_pattern_create(TEXT, (int64_t)strlen(TEXT), &p));
    T_FAILS(name_pattern_matches(p, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaay", NAME_WHOLE, &yes),
            CONFIG, "takes too long");
    name_pattern_destroy(p);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    for (int n = 1;; n++) {
        NamePattern *p = NULL;
        fault_arm(n, false);
        const Status rc = name_pattern_create("a.*", 3, &p);
        const bool hit = fault_disarm();
        T_TRUE(hit == (rc != ST_OK) && hit == !p);
        status_clear();
        name_pattern_destroy(p);
        T_EQ_I64(mem_live(), 0);
        if (!hit) break;
    }
}
END_TEST

int main(void)
{
    const TTest *t[] = {whole_names_and_beginnings, says_what_is_no_pattern,
                        stops_where_backtracking_explodes, survives_every_failed_allocation};
    return test_main("unit.name_pattern", t, N_OF(t));
}
