/* opt.h — option tables: one line gives an option its name, type, place, default, bounds and help.
 *
 * The table stands beside the code that uses it. From it come parsing, error messages, `trainer
 * schema`, docs/options.md and the resolved config stored with every run. */
#ifndef TRAINER_BASE_OPT_H
#define TRAINER_BASE_OPT_H
#include "trainer/base/status.h"

typedef enum OptType {
    OPT_END_T,
    OPT_I64_T,
    OPT_F64_T,
    OPT_BOOL_T,
    OPT_STR_T,
    OPT_ENUM_T,
    OPT_COUNT_T,
    OPT_LIST_T
} OptType;

typedef struct OptSpec {
    const char *name;
    OptType type;
    size_t offset;       /* of the field inside the option struct */
    double def_num;      /* default of numbers and bools */
    const char *def_str; /* default of texts; NULL: none (the field is NULL) */
    double lo, hi;       /* inclusive bounds of numbers */
    const char *choices; /* enums and lists: "cosine|linear|sqrt"; lists of anything: NULL */
    const char *help;
} OptSpec;

/* Field types: I64 and COUNT int64_t, F64 double, BOOL bool, STR, ENUM and LIST const char * (owned
 * by the reader of the config). COUNT also takes 4k, 2M, 1.5B. ENUM fields hold one of the words, LIST
 * fields texts with '\n' between them. */
// clang-format off
#define OPT_I64(S, f, def, lo, hi, help)   { #f, OPT_I64_T,   offsetof(S, f), (def), NULL, (lo), (hi), NULL, (help) }
#define OPT_COUNT(S, f, def, lo, hi, help) { #f, OPT_COUNT_T, offsetof(S, f), (def), NULL, (lo), (hi), NULL, (help) }
#define OPT_F64(S, f, def, lo, hi, help)   { #f, OPT_F64_T,   offsetof(S, f), (def), NULL, (lo), (hi), NULL, (help) }
#define OPT_BOOL(S, f, def, help)          { #f, OPT_BOOL_T,  offsetof(S, f), (def), NULL, 0, 1, NULL, (help) }
#define OPT_STR(S, f, def, help)           { #f, OPT_STR_T,   offsetof(S, f), 0, (def), 0, 0, NULL, (help) }
#define OPT_ENUM(S, f, def, choices, help) { #f, OPT_ENUM_T,  offsetof(S, f), 0, (def), 0, 0, (choices), (help) }
#define OPT_LIST(S, f, def, help)          { #f, OPT_LIST_T,  offsetof(S, f), 0, (def), 0, 0, NULL, (help) }
#define OPT_WORDS(S, f, def, choices, help) { #f, OPT_LIST_T, offsetof(S, f), 0, (def), 0, 0, (choices), (help) }
#define OPT_END                            { NULL, OPT_END_T, 0, 0, NULL, 0, 0, NULL, NULL }
// clang-format on

void opt_set_defaults(const OptSpec *specs, void *opts);
const OptSpec *opt_find(const OptSpec *specs, const char *name); /* NULL: unknown */
bool opt_is_text(const OptSpec *spec);                           /* its field is a const char * */

/* Walks over a LIST field:  for (OptItem i = {0}; opt_next(list, &i);) use(i.text, i.n);  */
typedef struct OptItem {
    const char *text; /* n bytes, no NUL behind them */
    int64_t n, index;
} OptItem;
bool opt_next(const char *list, OptItem *item); /* false: no more; a NULL list has none */
bool opt_list_has(const char *list, const char *text);

/* Reads `text` (a plain YAML scalar or the value of key=value) into the field.
 * Errors  ST_CONFIG with what was found and what was expected; the caller adds file and line
 * Owns    STR, ENUM and LIST fields point into `text`: it must outlive the struct */
CHECKED Status opt_set(const OptSpec *spec, void *opts, const char *text, bool quoted);

/* Writes the field as the text that opt_set reads back to the same value. */
void opt_print(const OptSpec *spec, const void *opts, char *buf, size_t n_buf);

CHECKED Status opt_read_number(const char *text, double *value); /* 1e-5, 2e4, 1_000; no suffix */
CHECKED Status opt_read_count(const char *text,
                              int64_t *value); /* also 4k, 2M, 1.5B (powers of ten) */

bool word_in(const char *words, const char *word);   /* "a|b" has "b" */
int opt_edit_distance(const char *a, const char *b); /* for "did you mean" */
#endif
