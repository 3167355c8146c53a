/* chat_template_text.c — what Python's strings can do: strip, change case, replace, split. */
#include "data/chat_template_value.h"
#include <string.h>
#include <utf8proc.h>

/* Bytes of the character at p that are to go: white space, or one of `chars`. */
static int64_t goes(Str s, int64_t at, const Value *chars)
{
    if (!chars) return space_at(s.s + at, s.s + s.n);
    const Str one = {.s = s.s + at, .n = utf8_bytes(s.s[at])};
    return str_find(chars->str, 0, one) >= 0 ? one.n : 0;
}

Status str_trim(Run *r, Str s, const Value *chars, TrimSide side, Str *out)
{
    Status rc = ST_OK;
    int64_t begin = 0, end = s.n;
    if (chars && chars->kind == VALUE_NONE) chars = NULL;
    CHECK(!chars || chars->kind == VALUE_STRING, FORMAT,
          "%s:%d: the characters to strip are %s, not a string", AT(r), value_kind(chars));
    TRY(run_charge(r, s.n * (1 + (chars ? chars->str.n : 0))));
    while (side & TRIM_LEFT && begin < end && goes(s, begin, chars)) begin += goes(s, begin, chars);
    while (side & TRIM_RIGHT && end > begin) {
        int64_t last = end - 1;
        while (last > begin && (s.s[last] & 0xC0) == 0x80) last--;
        if (!goes(s, last, chars)) break;
        end = last;
    }
    TRY(str_slice(r, s, begin, end, out));
out:
    return rc;
}

/* Letters whose other case is several letters or depends on their place. */
static bool is_hard_case(utf8proc_int32_t c)
{
    static const utf8proc_int32_t HARD[][2] = {
        {0xDF, 0xDF},   {0x130, 0x130},   {0x149, 0x149},   {0x1C4, 0x1CC},
        {0x1F0, 0x1F3}, {0x390, 0x390},   {0x3A3, 0x3A3},   {0x3B0, 0x3B0},
        {0x587, 0x587}, {0x1E96, 0x1E9A}, {0x1F50, 0x1FFC}, {0xFB00, 0xFB17}};
    for (int64_t i = 0; i < N_OF(HARD); i++)
        if (c >= HARD[i][0] && c <= HARD[i][1]) return true;
    return false;
}

static bool is_cased(utf8proc_int32_t c)
{
    const utf8proc_category_t k = utf8proc_category(c);
    return k == UTF8PROC_CATEGORY_LU || k == UTF8PROC_CATEGORY_LL || k == UTF8PROC_CATEGORY_LT;
}

/* Does a word begin behind this letter? */
static bool begins_word(LetterCase c, utf8proc_int32_t before)
{
    if (c == CASE_TITLE) return !is_cased(before);
    if (c != CASE_WORDS) return false;
    return (before < 0x80 && strchr("-({[< \t\n\v\f\r", before)) ||
           utf8proc_category(before) == UTF8PROC_CATEGORY_ZS;
}

Status str_case(Run *r, Piece what, Str s, LetterCase c, Str *out)
{
    Status rc = ST_OK;
    Builder b = {0};
    bool first = true;
    for (int64_t at = 0, n; at < s.n; at += n) {
        utf8proc_int32_t letter;
        utf8proc_uint8_t bytes[4];
        n = utf8proc_iterate((const utf8proc_uint8_t *)s.s + at, s.n - at, &letter);
        CHECK(n > 0, FORMAT, "%s:%d: a text is not UTF-8", AT(r));
        CHECK(!is_hard_case(letter), FORMAT, "%s:%d: \"%.*s\" of the letter %.*s is not understood",
              AT(r), PIECE_ARG(what), (int)n, s.s + at);
        const bool up = c == CASE_UPPER || (c != CASE_LOWER && first);
        const utf8proc_int32_t other = up ? utf8proc_toupper(letter) : utf8proc_tolower(letter);
        const Str changed = {.s = (const char *)bytes, .n = utf8proc_encode_char(other, bytes)};
        TRY(build_instead(r, &b, s, at, at + n, changed));
        first = begins_word(c, letter);
    }
    *out = built(&b);
out:
    return rc;
}

Status str_replace(Run *r, Str s, Str old, Str now, int64_t most, Str *out)
{
    Status rc = ST_OK;
    Builder b = {0};
    int64_t from = 0;
    for (int64_t at = 0; most != 0 && (at = str_find(s, at, old)) >= 0; most--) {
        TRY(build_part(r, &b, s, from, at));
        TRY(build_instead(r, &b, s, at, at + old.n, now));
        from = at + old.n;
        if (old.n == 0) { /* between all letters, and at both ends */
            if (at == s.n) break;
            at += utf8_bytes(s.s[at]);
        } else {
            at = from;
        }
    }
    TRY(build_part(r, &b, s, from, s.n));
    *out = built(&b);
out:
    return rc;
}

static Status list_add(Run *r, List *list, int64_t *cap, Str s)
{
    Status rc = ST_OK;
    if (list->n == *cap) {
        Value *grown;
        TRY(run_alloc(r, 2 * *cap + 4, sizeof *grown, &grown));
        if (list->n) memcpy(grown, list->item, (size_t)list->n * sizeof *grown);
        list->item = grown;
        *cap = 2 * *cap + 4;
    }
    list->item[list->n++] = STRING(s);
out:
    return rc;
}

/* At each separator; or, without one, the words between white space. */
Status str_split(Run *r, Str s, const Value *separator, int64_t most, Value *out)
{
    Status rc = ST_OK;
    List *list;
    int64_t cap = 0, at = 0;
    Str part;
    const bool words = !separator || separator->kind == VALUE_NONE;
    TRY(run_charge(r, s.n));
    TRY(list_make(r, 0, &list, out));
    if (!words) {
        CHECK(separator->kind == VALUE_STRING && separator->str.n > 0, FORMAT, "%s:%d: split at %s",
              AT(r), separator->kind == VALUE_STRING ? "an empty string" : value_kind(separator));
        for (int64_t end; most != 0 && (end = str_find(s, at, separator->str)) >= 0; most--) {
            TRY(str_slice(r, s, at, end, &part));
            TRY(list_add(r, list, &cap, part));
            at = end + separator->str.n;
        }
        TRY(str_slice(r, s, at, s.n, &part));
        TRY(list_add(r, list, &cap, part));
        goto out;
    }
    for (;; most--) {
        while (at < s.n && space_at(s.s + at, s.s + s.n)) at += space_at(s.s + at, s.s + s.n);
        if (at == s.n) break;
        int64_t end = at;
        while (end < s.n && (most == 0 || !space_at(s.s + end, s.s + s.n))) end++;
        TRY(str_slice(r, s, at, end, &part));
        TRY(list_add(r, list, &cap, part));
        at = end;
    }
out:
    return rc;
}
