/* name_pattern.c — see name_pattern.h. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "trainer/io/name_pattern.h"
#include "trainer/base/mem.h"
#include <pcre2.h>
#include <string.h>

struct NamePattern {
    pcre2_code *code;
    pcre2_match_data *match;
    char *text; /* for messages */
};

Status name_pattern_create(const char *text, int64_t n, NamePattern **out)
{
    Status rc = ST_OK;
    int error;
    PCRE2_SIZE at;
    PCRE2_UCHAR why[128] = "";
    NamePattern *p = mem_alloc(sizeof *p);
    CHECK(p, NOMEM, "pattern: %zu bytes", sizeof *p);
    p->text = mem_printf("%.*s", (int)n, text);
    CHECK(p->text, NOMEM, "pattern: %lld bytes", LL(n));
    p->code = pcre2_compile((PCRE2_SPTR)text, (PCRE2_SIZE)n, 0, &error, &at, NULL);
    if (!p->code) pcre2_get_error_message(error, why, sizeof why);
    CHECK(p->code, CONFIG, "\"%s\" is no regular expression: %s, after %zu characters", p->text,
          (const char *)why, at);
    p->match = pcre2_match_data_create_from_pattern(p->code, NULL);
    CHECK(p->match, NOMEM, "pattern %s", p->text);
    *out = p;
    p = NULL;
out:
    name_pattern_destroy(p);
    return rc;
}

void name_pattern_destroy(NamePattern *p)
{
    if (!p) return;
    pcre2_match_data_free(p->match);
    pcre2_code_free(p->code);
    mem_free(p->text);
    mem_free(p);
}

Status name_pattern_matches(const NamePattern *p, const char *name, NameMatch how, bool *matches)
{
    Status rc = ST_OK;
    const uint32_t options =
        how == NAME_WHOLE ? PCRE2_ANCHORED | PCRE2_ENDANCHORED : PCRE2_ANCHORED;
    const int found =
        pcre2_match(p->code, (PCRE2_SPTR)name, strlen(name), 0, options, p->match, NULL);
    CHECK(found != PCRE2_ERROR_NOMEMORY, NOMEM, "pattern %s", p->text);
    CHECK(found >= PCRE2_ERROR_NOMATCH, CONFIG,
          "\"%s\" takes too long on \"%s\": nested repetitions?", p->text, name);
    *matches = found >= 0;
out:
    return rc;
}
