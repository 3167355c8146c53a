/* verb_tokenize.c — trainer tokenize: lines of standard input to ids, or ids to lines. */
#include "data/data.h"
#include "data/text_view.h"
#include "trainer/base/mem.h"
#include "trainer/run/text.h"
#include "trainer/verb.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { READ_BYTES = 1 << 20, MAX_LINE_BYTES = 1 << 30 };

typedef struct Input { /* standard input, line by line */
    char *buf;
    size_t cap, begin, end; /* [begin, end) was read and not handed out */
    bool at_end;
    int64_t number; /* of the line last handed out */
} Input;

typedef struct TokenizeJob {
    Tokenizer *tok;
    bool json_in, json_out, decode, no_special;
    Input in;
    Text out;
    TokenList list;
    TextBuf repaired;
    char *text; /* of one line, decoded */
    int64_t text_cap;
} TokenizeJob;

/* ---- input ---- */

static Status read_more(Input *in)
{
    Status rc = ST_OK;
    if (in->begin > 0) memmove(in->buf, in->buf + in->begin, in->end - in->begin);
    in->end -= in->begin;
    in->begin = 0;
    if (in->cap - in->end < READ_BYTES) {
        const size_t cap = 2 * in->cap + READ_BYTES;
        CHECK(in->end <= MAX_LINE_BYTES, DATA, "standard input:%lld: a line of more than %d bytes",
              LL(in->number + 1), MAX_LINE_BYTES);
        char *wider = mem_resize(in->buf, in->end, cap);
        CHECK(wider, NOMEM, "standard input:%lld: a line of %zu bytes", LL(in->number + 1), cap);
        in->buf = wider;
        in->cap = cap;
    }
    const size_t n = fread(in->buf + in->end, 1, READ_BYTES, stdin);
    CHECK(!ferror(stdin), DATA, "standard input cannot be read");
    in->end += n;
    in->at_end = n == 0;
out:
    return rc;
}

/* The next line without its newline, valid until the next call; *line NULL: there is none. */
static Status next_line(Input *in, const char **line, size_t *n)
{
    Status rc = ST_OK;
    const char *newline = NULL;
    size_t seen = 0;
    while (!in->at_end) {
        const size_t from = in->begin + seen;
        newline = in->end > from ? memchr(in->buf + from, '\n', in->end - from) : NULL;
        if (newline) break;
        seen = in->end - in->begin;
        TRY(read_more(in));
    }
    *line = newline || in->end > in->begin ? in->buf + in->begin : NULL;
    *n = newline ? (size_t)(newline - *line) : in->end - in->begin;
    in->begin += *n + (newline != NULL);
    in->number++;
out:
    return rc;
}

static Status parse(const Input *in, const char *line, size_t n, json_t **value)
{
    Status rc = ST_OK;
    json_error_t e;
    *value = json_loadb(line, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
    CHECK(*value, FORMAT, "standard input:%lld: %s at byte %d", LL(in->number), e.text, e.position);
out:
    return rc;
}

/* ---- output ---- */

static Status flush(Text *out)
{
    Status rc = ST_OK;
    TRY(text_check(out));
    CHECK(out->n == 0 || fwrite(out->s, 1, out->n, stdout) == out->n, IO, "standard output");
    out->n = 0;
out:
    return rc;
}

static void write_id(Text *out, int32_t id)
{
    char digits[16];
    size_t at = sizeof digits;
    do digits[--at] = (char)('0' + id % 10);
    while ((id /= 10) > 0);
    text_bytes(out, digits + at, sizeof digits - at);
}

static int write_json(const char *s, size_t n, void *out)
{
    text_bytes(out, s, n);
    return 0;
}

/* ---- one line ---- */

static Status encode_line(TokenizeJob *j, const char *line, size_t n)
{
    Status rc = ST_OK;
    json_t *value = NULL;
    const TokenizerFlags special = j->no_special ? TOKENIZER_PLAIN : TOKENIZER_ADD_SPECIAL;
    if (j->json_in) {
        TRY(parse(&j->in, line, n, &value));
        CHECK(json_is_string(value), FORMAT, "standard input:%lld: expected a JSON string",
              LL(j->in.number));
        line = json_string_value(value);
        n = json_string_length(value);
    }
    j->list.n = 0;
    TRY(tokenizer_encode(j->tok, line, (int64_t)n, special | TOKENIZER_PARSE_SPECIAL, &j->list));
    text_add(&j->out, "[");
    for (int64_t i = 0; i < j->list.n; i++) {
        if (i > 0) text_add(&j->out, ",");
        write_id(&j->out, j->list.ids[i]);
    }
    text_add(&j->out, "]\n");
out:
    json_decref(value);
    return rc;
}

static Status read_ids(TokenizeJob *j, const char *line, size_t n)
{
    Status rc = ST_OK;
    json_t *value = NULL;
    TRY(parse(&j->in, line, n, &value));
    CHECK(json_is_array(value), FORMAT, "standard input:%lld: expected a JSON array of ids",
          LL(j->in.number));
    j->list.n = 0;
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i);
        const json_int_t id = json_integer_value(item);
        CHECK(json_is_integer(item) && id >= 0 && id < tokenizer_vocab_size(j->tok), FORMAT,
              "standard input:%lld: item %zu is no id 0 .. %lld", LL(j->in.number), i,
              LL(tokenizer_vocab_size(j->tok) - 1));
        TRY(token_list_add(&j->list, (int32_t)id, 0));
    }
out:
    json_decref(value);
    return rc;
}

static Status decode_ids(TokenizeJob *j, int64_t *n)
{
    Status rc = ST_OK;
    const TokenizerFlags flags = j->no_special ? TOKENIZER_SKIP_SPECIAL : TOKENIZER_PLAIN;
    while ((*n = tokenizer_decode(j->tok, j->list.ids, j->list.n, flags, j->text, j->text_cap)) >
           j->text_cap) {
        mem_free(j->text);
        j->text_cap = 0;
        j->text = mem_alloc((size_t)*n * 2);
        CHECK(j->text, NOMEM, "a text of %lld bytes", LL(*n));
        j->text_cap = *n * 2;
    }
out:
    return rc;
}

static Status decode_line(TokenizeJob *j, const char *line, size_t n_line)
{
    Status rc = ST_OK;
    json_t *value = NULL;
    int64_t n;
    TRY(read_ids(j, line, n_line));
    TRY(decode_ids(j, &n));
    TextView v = {j->text ? j->text : "", n, NULL, 0};
    if (j->json_out) {
        TRY(view_repair(&v, &j->repaired, &v));
        value = json_stringn(v.s, (size_t)v.n);
        CHECK(value && json_dump_callback(value, write_json, &j->out, JSON_ENCODE_ANY) == 0, NOMEM,
              "a text of %lld bytes as JSON", LL(v.n));
    } else {
        text_bytes(&j->out, v.s, (size_t)v.n);
    }
    text_add(&j->out, "\n");
out:
    json_decref(value);
    return rc;
}

static Status do_lines(TokenizeJob *j)
{
    Status rc = ST_OK;
    const char *line;
    size_t n;
    for (;;) {
        TRY(next_line(&j->in, &line, &n));
        if (!line) break;
        TRY(j->decode ? decode_line(j, line, n) : encode_line(j, line, n));
        if (j->out.n >= READ_BYTES) TRY(flush(&j->out));
    }
    TRY(flush(&j->out));
    CHECK(fflush(stdout) == 0, IO, "standard output");
out:
    return rc;
}

static Status tokenize(TokenizeJob *j, const char *name)
{
    Status rc = ST_OK;
    TRY(tokenizer_open(name, &j->tok));
    TRY(do_lines(j));
out:
    tokenizer_close(j->tok);
    token_list_fini(&j->list);
    text_buf_fini(&j->repaired);
    text_fini(&j->out);
    mem_free(j->in.buf);
    mem_free(j->text);
    return rc;
}

Status verb_tokenize(const Comm *world, int argc, char **argv)
{
    Status rc = ST_OK;
    TokenizeJob job = {0};
    const char *name = NULL;
    const VerbFlag flags[] = {{.name = "--tokenizer", .value = &name},
                              {.name = "--json-in", .on = &job.json_in},
                              {.name = "--json-out", .on = &job.json_out},
                              {.name = "--decode", .on = &job.decode},
                              {.name = "--no-special", .on = &job.no_special}};
    const char **rest = mem_array(argc, sizeof *rest);
    int n_rest;
    CHECK(rest, NOMEM, "%d arguments", argc);
    TRY(verb_parse(argc, argv, flags, N_OF(flags), 0, 0, rest, &n_rest));
    CHECK(name, USAGE, "tokenize: --tokenizer is missing; see trainer --help");
    CHECK(job.decode || !job.json_out, USAGE, "tokenize: --json-out goes with --decode");
    CHECK(!job.decode || !job.json_in, USAGE, "tokenize: --json-in goes without --decode");
    TRY(comm_agree(world, comm_rank(world) == 0 ? tokenize(&job, name) : ST_OK));
out:
    mem_free(rest);
    return rc;
}
