/* hf_steps.c — the steps of tokenizer.json: normalizer, pre-tokenizer, decoder. */
#include "data/hf_tokenizer.h"
#include "trainer/base/mem.h"
#include <stdio.h>
#include <string.h>

enum { MAX_DEPTH = 8 };

/* A step's type and how to read it; adding one is one line in its list. */
typedef struct StepReader {
    const char *type;
    Status (*read)(JsonAt at, void *to);
} StepReader;

/* One step, or a Sequence of them under `key`; absent and null are no step. */
static Status read_steps(JsonAt at, const char *key, int depth, const StepReader *readers,
                         int64_t n_reader, const char *what, void *to)
{
    Status rc = ST_OK;
    const char *type;
    const JsonAt list = json_key(&at, key);
    if (!json_is_there(at)) goto out;
    TRY(json_is_map(at));
    TRY(json_text(json_key(&at, "type"), &type));
    if (strcmp(type, "Sequence") == 0) {
        if (depth == MAX_DEPTH) TRY(json_refuse(at, "sequences %d deep at most", MAX_DEPTH));
        TRY(json_is_list(list));
        for (int64_t i = 0; i < json_count(list); i++)
            TRY(read_steps(json_item(&list, i), key, depth + 1, readers, n_reader, what, to));
        goto out;
    }
    for (int64_t i = 0; i < n_reader; i++)
        if (strcmp(type, readers[i].type) == 0) {
            TRY(readers[i].read(at, to));
            goto out;
        }
    TRY(json_refuse(json_key(&at, "type"), "a %s that is supported", what));
out:
    return rc;
}

/* {"String": "a"}, {"Regex": "a+"} */
static Status read_pattern(JsonAt at, Pattern **pattern)
{
    Status rc = ST_OK;
    const bool is_regex = json_has(&at, "Regex");
    const char *text;
    TRY(json_text(json_key(&at, is_regex ? "Regex" : "String"), &text));
    TRY(hf_refuse(at,
                  pattern_create(text, (int64_t)strlen(text),
                                 is_regex ? PATTERN_REGEX : PATTERN_LITERAL, pattern),
                  "a regular expression that is supported"));
out:
    return rc;
}

static Status read_copy(JsonAt at, const char *key, char **copy)
{
    Status rc = ST_OK;
    const char *text;
    TRY(json_text(json_key(&at, key), &text));
    *copy = mem_strdup(text);
    CHECK(*copy, NOMEM, "%s: %zu bytes", key, strlen(text));
out:
    return rc;
}

/* ---- normalizer ---- */

static Status add_normal(void *to, NormalKind kind)
{
    return normalizer_add(to, &(NormalStep){.kind = kind});
}

#define SIMPLE_NORMAL(name, kind)                                                                  \
    static Status name(JsonAt at, void *to)                                                        \
    {                                                                                              \
        (void)at;                                                                                  \
        return add_normal(to, kind);                                                               \
    }
SIMPLE_NORMAL(read_nfc, NORMAL_NFC)
SIMPLE_NORMAL(read_nfd, NORMAL_NFD)
SIMPLE_NORMAL(read_nfkc, NORMAL_NFKC)
SIMPLE_NORMAL(read_nfkd, NORMAL_NFKD)
SIMPLE_NORMAL(read_lowercase, NORMAL_LOWERCASE)
SIMPLE_NORMAL(read_strip_accents, NORMAL_STRIP_ACCENTS)
#undef SIMPLE_NORMAL

static Status read_strip(JsonAt at, void *to)
{
    Status rc = ST_OK;
    NormalStep step = {.kind = NORMAL_STRIP, .left = true, .right = true};
    TRY(json_opt_bool(&at, "strip_left", &step.left));
    TRY(json_opt_bool(&at, "strip_right", &step.right));
    TRY(normalizer_add(to, &step));
out:
    return rc;
}

static Status read_prepend(JsonAt at, void *to)
{
    Status rc = ST_OK;
    NormalStep step = {.kind = NORMAL_PREPEND};
    TRY(read_copy(at, "prepend", &step.content));
    TRY(normalizer_add(to, &step));
out:
    return rc;
}

static Status read_replace(JsonAt at, void *to)
{
    Status rc = ST_OK;
    NormalStep step = {.kind = NORMAL_REPLACE};
    TRY(read_copy(at, "content", &step.content));
    TRY(read_pattern(json_key(&at, "pattern"), &step.pattern));
    const NormalStep whole = step;
    step = (NormalStep){0}; /* handed over */
    TRY(normalizer_add(to, &whole));
out:
    mem_free(step.content);
    return rc;
}

Status hf_read_normalizer(JsonAt at, Normalizer *z)
{
    static const StepReader READERS[] = {
        {"NFC", read_nfc},
        {"NFD", read_nfd},
        {"NFKC", read_nfkc},
        {"NFKD", read_nfkd},
        {"Strip", read_strip},
        {"StripAccents", read_strip_accents},
        {"Lowercase", read_lowercase},
        {"Prepend", read_prepend},
        {"Replace", read_replace},
    };
    return read_steps(at, "normalizers", 0, READERS, N_OF(READERS), "normalizer", z);
}

/* ---- pre-tokenizer ---- */

typedef struct PieceSteps {
    Pretokenizer *p;
    bool byte_level; /* nothing may come behind it: it changes what characters there are */
} PieceSteps;

static Status add_piece(JsonAt at, PieceSteps *to, const PieceStep *step)
{
    Status rc = ST_OK;
    const PieceStep s = *step;
    if (to->byte_level) {
        pattern_destroy(s.pattern);
        TRY(json_refuse(json_key(&at, "type"), "nothing behind ByteLevel"));
    }
    TRY(pretokenizer_add(to->p, &s));
out:
    return rc;
}

static Status add_regex(JsonAt at, PieceSteps *to, const char *regex, SplitBehavior behavior,
                        bool invert)
{
    Status rc = ST_OK;
    PieceStep step = {.kind = PIECE_SPLIT, .behavior = behavior, .invert = invert};
    TRY(pattern_create(regex, (int64_t)strlen(regex), PATTERN_REGEX, &step.pattern));
    TRY(add_piece(at, to, &step));
out:
    return rc;
}

static Status read_byte_level(JsonAt at, void *to)
{
    Status rc = ST_OK;
    PieceSteps *const p = to;
    bool add_prefix_space = true, use_regex = true;
    TRY(json_opt_bool(&at, "add_prefix_space", &add_prefix_space));
    TRY(json_opt_bool(&at, "use_regex", &use_regex));
    if (add_prefix_space) TRY(add_piece(at, p, &(PieceStep){.kind = PIECE_PREPEND, .mark = " "}));
    if (use_regex) TRY(add_regex(at, p, PATTERN_GPT2, SPLIT_ISOLATED, false));
    p->byte_level = true;
out:
    return rc;
}

static Status read_behavior(JsonAt at, SplitBehavior *behavior)
{
    static const char *const WORDS[] = {
        [SPLIT_ISOLATED] = "Isolated",
        [SPLIT_REMOVED] = "Removed",
        [SPLIT_MERGED_WITH_PREVIOUS] = "MergedWithPrevious",
        [SPLIT_MERGED_WITH_NEXT] = "MergedWithNext",
        [SPLIT_CONTIGUOUS] = "Contiguous",
    };
    Status rc = ST_OK;
    const char *word;
    TRY(json_text(at, &word));
    for (int i = 0; i < N_OF(WORDS); i++)
        if (strcmp(word, WORDS[i]) == 0) {
            *behavior = (SplitBehavior)i;
            goto out;
        }
    TRY(json_refuse(at, "a behaviour of a Split"));
out:
    return rc;
}

static Status read_split(JsonAt at, void *to)
{
    Status rc = ST_OK;
    PieceStep step = {.kind = PIECE_SPLIT};
    TRY(read_behavior(json_key(&at, "behavior"), &step.behavior));
    TRY(json_opt_bool(&at, "invert", &step.invert));
    TRY(read_pattern(json_key(&at, "pattern"), &step.pattern));
    TRY(add_piece(at, to, &step));
out:
    return rc;
}

static Status read_digits(JsonAt at, void *to)
{
    Status rc = ST_OK;
    bool individual = false;
    TRY(json_opt_bool(&at, "individual_digits", &individual));
    TRY(add_regex(at, to, "\\p{N}", individual ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS, false));
out:
    return rc;
}

static Status read_punctuation(JsonAt at, void *to)
{
    Status rc = ST_OK;
    SplitBehavior behavior = SPLIT_ISOLATED;
    if (json_has(&at, "behavior")) TRY(read_behavior(json_key(&at, "behavior"), &behavior));
    TRY(add_regex(at, to, "[!-\\/:-@\\[-`{-~\\p{P}]", behavior, false));
out:
    return rc;
}

/* A word here may have joiners, and letters are all that is alphabetic. */
static Status read_whitespace(JsonAt at, void *to)
{
    static const char REGEX[] = "[\\p{Alphabetic}\\w\\x{200c}\\x{200d}]+|"
                                "[^\\p{Alphabetic}\\w\\x{200c}\\x{200d}\\s]+";
    return add_regex(at, to, REGEX, SPLIT_REMOVED, true);
}

static Status read_whitespace_split(JsonAt at, void *to)
{
    return add_regex(at, to, "\\s", SPLIT_REMOVED, false);
}

/* "prepend_scheme", or in older files "add_prefix_space". */
static Status read_scheme(JsonAt at, const char **scheme)
{
    Status rc = ST_OK;
    bool add_prefix_space = true;
    TRY(json_opt_bool(&at, "add_prefix_space", &add_prefix_space));
    *scheme = add_prefix_space ? "always" : "never";
    TRY(json_opt_text(&at, "prepend_scheme", scheme));
    if (strcmp(*scheme, "always") != 0 && strcmp(*scheme, "first") != 0 &&
        strcmp(*scheme, "never") != 0)
        TRY(json_refuse(json_key(&at, "prepend_scheme"), "always, first or never"));
out:
    return rc;
}

static Status read_mark(JsonAt at, const char **mark)
{
    Status rc = ST_OK;
    *mark = "\xe2\x96\x81";
    TRY(json_opt_text(&at, "replacement", mark));
    if (!(*mark)[0] || strlen(*mark) > 4)
        TRY(json_refuse(json_key(&at, "replacement"), "one character"));
out:
    return rc;
}

static Status read_metaspace(JsonAt at, void *to)
{
    Status rc = ST_OK;
    const char *scheme, *mark;
    bool split = true;
    PieceStep step = {.kind = PIECE_MARK};
    TRY(read_scheme(at, &scheme));
    TRY(read_mark(at, &mark));
    TRY(json_opt_bool(&at, "split", &split));
    snprintf(step.mark, sizeof step.mark, "%s", mark);
    TRY(add_piece(at, to, &step));
    step.kind = scheme[0] == 'f' ? PIECE_PREPEND_FIRST : PIECE_PREPEND;
    if (scheme[0] != 'n') TRY(add_piece(at, to, &step));
    if (!split) goto out;
    step = (PieceStep){.kind = PIECE_SPLIT, .behavior = SPLIT_MERGED_WITH_NEXT};
    TRY(pattern_create(mark, (int64_t)strlen(mark), PATTERN_LITERAL, &step.pattern));
    TRY(add_piece(at, to, &step));
out:
    return rc;
}

Status hf_read_pretokenizer(JsonAt at, Pretokenizer *p, bool *byte_level)
{
    static const StepReader READERS[] = {
        {"ByteLevel", read_byte_level},  {"Split", read_split},
        {"Digits", read_digits},         {"Punctuation", read_punctuation},
        {"Whitespace", read_whitespace}, {"WhitespaceSplit", read_whitespace_split},
        {"Metaspace", read_metaspace},
    };
    PieceSteps to = {.p = p};
    const Status rc =
        read_steps(at, "pretokenizers", 0, READERS, N_OF(READERS), "pre-tokenizer", &to);
    *byte_level = to.byte_level;
    return rc;
}

/* ---- decoder ---- */

static Status decode_bytes(JsonAt at, void *to)
{
    (void)at;
    return hf_add_bytes(to);
}

static Status decode_fallback(JsonAt at, void *to)
{
    (void)at;
    return detokenizer_add(to, &(DecodeStep){.kind = DECODE_BYTE_FALLBACK});
}

static Status decode_fuse(JsonAt at, void *to)
{
    (void)at;
    return detokenizer_add(to, &(DecodeStep){.kind = DECODE_FUSE});
}

/* Content and pattern are handed over, whatever comes of it. */
static Status add_decode(JsonAt at, void *to, const DecodeStep *step)
{
    return hf_refuse(json_key(&at, "type"), detokenizer_add(to, step), "another decoder");
}

static Status decode_replace(JsonAt at, void *to)
{
    Status rc = ST_OK;
    DecodeStep step = {.kind = DECODE_REPLACE};
    TRY(read_copy(at, "content", &step.content));
    TRY(read_pattern(json_key(&at, "pattern"), &step.pattern));
    const DecodeStep whole = step;
    step = (DecodeStep){0}; /* handed over */
    TRY(add_decode(at, to, &whole));
out:
    mem_free(step.content);
    return rc;
}

static Status decode_strip(JsonAt at, void *to)
{
    Status rc = ST_OK;
    DecodeStep step = {.kind = DECODE_STRIP};
    TRY(json_opt_i64(&at, "start", 0, 1 << 20, &step.start));
    TRY(json_opt_i64(&at, "stop", 0, 1 << 20, &step.stop));
    TRY(read_copy(at, "content", &step.content));
    TRY(add_decode(at, to, &step));
out:
    return rc;
}

static Status decode_metaspace(JsonAt at, void *to)
{
    Status rc = ST_OK;
    const char *scheme, *mark;
    DecodeStep step = {.kind = DECODE_METASPACE};
    TRY(read_scheme(at, &scheme));
    TRY(read_mark(at, &mark));
    step.drop_first = scheme[0] != 'n';
    TRY(pattern_create(mark, (int64_t)strlen(mark), PATTERN_LITERAL, &step.pattern));
    step.content = mem_strdup(" ");
    if (!step.content) pattern_destroy(step.pattern);
    CHECK(step.content, NOMEM, "a decoder");
    TRY(add_decode(at, to, &step));
out:
    return rc;
}

Status hf_read_decoder(JsonAt at, Detokenizer *d)
{
    static const StepReader READERS[] = {
        {"ByteLevel", decode_bytes}, {"ByteFallback", decode_fallback},
        {"Fuse", decode_fuse},       {"Replace", decode_replace},
        {"Strip", decode_strip},     {"Metaspace", decode_metaspace},
    };
    return read_steps(at, "decoders", 0, READERS, N_OF(READERS), "decoder", d);
}
