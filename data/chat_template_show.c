/* chat_template_show.c — values as text: Python's str() and json.dumps(). */
#include "data/chat_template_value.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* The shortest digits that read back to the same number, placed as Python's repr() does. */
static Status show_real(Run *r, Builder *b, double x)
{
    Status rc = ST_OK;
    char digit[32], text[64];
    int n_digit = 1;
    do snprintf(digit, sizeof digit, "%.*e", n_digit - 1, x);
    while (n_digit++ < 17 && strtod(digit, NULL) != x);
    n_digit--;
    const char *e = strchr(digit, 'e');
    if (!e) { /* inf, nan */
        TRY(build_text(r, b, isnan(x) ? "nan" : digit));
        goto out;
    }
    const int power = atoi(e + 1);
    if (power >= -4 && power < 16) {
        const int decimals = n_digit - 1 - power;
        snprintf(text, sizeof text, "%.*f", decimals > 0 ? decimals : 1, x);
    } else {
        snprintf(text, sizeof text, "%.*se%c%02d", (int)(e - digit), digit, power < 0 ? '-' : '+',
                 abs(power));
    }
    TRY(build_text(r, b, text));
out:
    return rc;
}

static Status show_integer(Run *r, Builder *b, int64_t i)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", LL(i));
    return build_text(r, b, text);
}

/* ---- Python ---- */
static uint32_t code_at(const char *s, int64_t n)
{
    uint32_t code = (unsigned char)*s & (n == 1 ? 0x7F : n == 2 ? 0x1F : n == 3 ? 0x0F : 0x07);
    for (int64_t i = 1; i < n; i++) code = code << 6 | ((unsigned char)s[i] & 0x3F);
    return code;
}

static bool is_printable(uint32_t code)
{
    if (code == ' ') return true;
    switch (utf8proc_category((utf8proc_int32_t)code)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
        return false;
    default:
        return true;
    }
}

/* Python's repr() of a string. */
static Status show_quoted(Run *r, Builder *b, Str s)
{
    Status rc = ST_OK;
    const bool has_single = memchr(s.s, '\'', (size_t)s.n),
               has_double = memchr(s.s, '"', (size_t)s.n);
    const char quote = has_single && !has_double ? '"' : '\'';
    static const char NAMED[] = "\\\\\nn\rr\tt";
    int64_t from = 0;
    TRY(build_bytes(r, b, &quote, 1));
    for (int64_t i = 0, n; i < s.n; i += n) {
        n = utf8_bytes(s.s[i]);
        const uint32_t code = code_at(s.s + i, n);
        if (is_printable(code) && code != '\\' && code != (uint32_t)quote) continue;
        char escape[16];
        snprintf(escape, sizeof escape,
                 code < 0x100     ? "\\x%02x"
                 : code < 0x10000 ? "\\u%04x"
                                  : "\\U%08x",
                 code);
        if (code == (uint32_t)quote) snprintf(escape, sizeof escape, "\\%c", quote);
        for (const char *p = NAMED; *p; p += 2)
            if ((uint32_t)*p == code) snprintf(escape, sizeof escape, "\\%c", p[1]);
        TRY(build_part(r, b, s, from, i));
        TRY(build_instead(r, b, s, i, i + n, (Str){.s = escape, .n = (int64_t)strlen(escape)}));
        from = i + n;
    }
    TRY(build_part(r, b, s, from, s.n));
    TRY(build_bytes(r, b, &quote, 1));
out:
    return rc;
}

static Status show_element(Run *r, Builder *b, const Value *v);

static Status show_list(Run *r, Builder *b, const List *l)
{
    Status rc = ST_OK;
    TRY(build_text(r, b, l->is_tuple ? "(" : "["));
    for (int64_t i = 0; i < l->n; i++) {
        if (i) TRY(build_text(r, b, ", "));
        TRY(show_element(r, b, &l->item[i]));
    }
    TRY(build_text(r, b, !l->is_tuple ? "]" : l->n == 1 ? ",)" : ")"));
out:
    return rc;
}

static Status show_dict(Run *r, Builder *b, const Dict *d)
{
    Status rc = ST_OK;
    TRY(build_text(r, b, "{"));
    for (int64_t i = 0; i < d->n; i++) {
        if (i) TRY(build_text(r, b, ", "));
        TRY(show_element(r, b, &d->key[i]));
        TRY(build_text(r, b, ": "));
        TRY(show_element(r, b, &d->value[i]));
    }
    TRY(build_text(r, b, "}"));
out:
    return rc;
}

Status show_value(Run *r, Builder *b, const Value *v)
{
    Status rc = ST_OK;
    TRY(run_enter(r));
    switch (v->kind) {
    case VALUE_UNDEFINED:
        break;
    case VALUE_NONE:
        TRY(build_text(r, b, "None"));
        break;
    case VALUE_BOOLEAN:
        TRY(build_text(r, b, v->boolean ? "True" : "False"));
        break;
    case VALUE_INTEGER:
        TRY(show_integer(r, b, v->integer));
        break;
    case VALUE_FLOAT:
        TRY(show_real(r, b, v->real));
        break;
    case VALUE_STRING:
        TRY(build_str(r, b, v->str));
        break;
    case VALUE_LIST:
        TRY(show_list(r, b, v->list));
        break;
    case VALUE_DICT:
        TRY(show_dict(r, b, v->dict));
        break;
    default:
        CHECK(false, FORMAT, "%s:%d: %s cannot be written out", AT(r), value_kind(v));
    }
    r->depth--;
out:
    return rc;
}

static Status show_element(Run *r, Builder *b, const Value *v)
{
    if (v->kind == VALUE_STRING) return show_quoted(r, b, v->str);
    if (v->kind == VALUE_UNDEFINED) return build_text(r, b, "Undefined");
    return show_value(r, b, v);
}

Status value_text(Run *r, const Value *v, Str *out)
{
    Status rc = ST_OK;
    Builder b = {0};
    if (v->kind == VALUE_STRING) {
        *out = v->str;
        goto out;
    }
    TRY(show_value(r, &b, v));
    *out = built(&b);
out:
    return rc;
}

/* ---- JSON ---- */
static Status json_quoted(Run *r, Builder *b, Str s, bool ensure_ascii)
{
    Status rc = ST_OK;
    static const char NAMED[] = "\"\"\\\\\nn\rr\tt\bb\ff";
    int64_t from = 0;
    TRY(build_text(r, b, "\""));
    for (int64_t i = 0, n; i < s.n; i += n) {
        n = utf8_bytes(s.s[i]);
        const uint32_t code = code_at(s.s + i, n);
        if (code >= ' ' && code != '"' && code != '\\' && (code < 0x80 || !ensure_ascii)) continue;
        char escape[16];
        if (code >= 0x10000)
            snprintf(escape, sizeof escape, "\\u%04x\\u%04x", 0xD7C0 + (code >> 10),
                     0xDC00 | (code & 0x3FF));
        else
            snprintf(escape, sizeof escape, "\\u%04x", code);
        for (const char *p = NAMED; *p; p += 2)
            if ((uint32_t)*p == code) snprintf(escape, sizeof escape, "\\%c", p[1]);
        TRY(build_part(r, b, s, from, i));
        TRY(build_instead(r, b, s, i, i + n, (Str){.s = escape, .n = (int64_t)strlen(escape)}));
        from = i + n;
    }
    TRY(build_part(r, b, s, from, s.n));
    TRY(build_text(r, b, "\""));
out:
    return rc;
}

/* "," and what follows an opening, separating (is_first: not) or closing place. */
static Status json_place(Run *r, Builder *b, JsonStyle style, int level, bool is_first,
                         bool is_close)
{
    Status rc = ST_OK;
    if (!is_first && !is_close) TRY(build_text(r, b, style.indent < 0 ? ", " : ","));
    if (style.indent < 0) goto out;
    TRY(build_text(r, b, "\n"));
    for (int64_t i = 0; i < style.indent * level; i++) TRY(build_text(r, b, " "));
out:
    return rc;
}

static Status json_value(Run *r, Builder *b, const Value *v, JsonStyle style, int level);

/* The order of the keys: as inserted, or sorted. Insertion sort: objects are small, and steps count. */
static Status key_order(Run *r, const Dict *d, bool sort_keys, int64_t **order)
{
    Status rc = ST_OK;
    TRY(run_alloc(r, d->n, sizeof **order, order));
    for (int64_t i = 0; i < d->n; i++) {
        int64_t at = i;
        for (; sort_keys && at > 0; at--) {
            int c;
            TRY(run_charge(r, 0));
            TRY(value_order(r, &d->key[(*order)[at - 1]], &d->key[i], &c));
            if (c <= 0) break;
            (*order)[at] = (*order)[at - 1];
        }
        (*order)[at] = i;
    }
out:
    return rc;
}

static Status json_dict(Run *r, Builder *b, const Dict *d, JsonStyle style, int level)
{
    Status rc = ST_OK;
    int64_t *order;
    TRY(key_order(r, d, style.sort_keys, &order));
    TRY(build_text(r, b, "{"));
    for (int64_t i = 0; i < d->n; i++) {
        const Value *key = &d->key[order[i]];
        TRY(json_place(r, b, style, level + 1, i == 0, false));
        if (key->kind != VALUE_STRING) TRY(build_text(r, b, "\""));
        TRY(json_value(r, b, key, style, level + 1));
        TRY(build_text(r, b, key->kind != VALUE_STRING ? "\": " : ": "));
        TRY(json_value(r, b, &d->value[order[i]], style, level + 1));
    }
    if (d->n) TRY(json_place(r, b, style, level, false, true));
    TRY(build_text(r, b, "}"));
out:
    return rc;
}

static Status json_list(Run *r, Builder *b, const List *l, JsonStyle style, int level)
{
    Status rc = ST_OK;
    TRY(build_text(r, b, "["));
    for (int64_t i = 0; i < l->n; i++) {
        TRY(json_place(r, b, style, level + 1, i == 0, false));
        TRY(json_value(r, b, &l->item[i], style, level + 1));
    }
    if (l->n) TRY(json_place(r, b, style, level, false, true));
    TRY(build_text(r, b, "]"));
out:
    return rc;
}

static Status json_value(Run *r, Builder *b, const Value *v, JsonStyle style, int level)
{
    Status rc = ST_OK;
    TRY(run_enter(r));
    switch (v->kind) {
    case VALUE_NONE:
        TRY(build_text(r, b, "null"));
        break;
    case VALUE_BOOLEAN:
        TRY(build_text(r, b, v->boolean ? "true" : "false"));
        break;
    case VALUE_INTEGER:
        TRY(show_integer(r, b, v->integer));
        break;
    case VALUE_FLOAT:
        if (isfinite(v->real))
            TRY(show_real(r, b, v->real));
        else
            TRY(build_text(r, b, isnan(v->real) ? "NaN" : v->real > 0 ? "Infinity" : "-Infinity"));
        break;
    case VALUE_STRING:
        TRY(json_quoted(r, b, v->str, style.ensure_ascii));
        break;
    case VALUE_LIST:
        TRY(json_list(r, b, v->list, style, level));
        break;
    case VALUE_DICT:
        TRY(json_dict(r, b, v->dict, style, level));
        break;
    default:
        CHECK(false, FORMAT, "%s:%d: tojson of %s", AT(r), value_kind(v));
    }
    r->depth--;
out:
    return rc;
}

Status show_json(Run *r, Builder *b, const Value *v, JsonStyle style)
{
    return json_value(r, b, v, style, 0);
}
