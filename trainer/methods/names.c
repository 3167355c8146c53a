/* names.c — see names.h. */
#include "trainer/methods/names.h"
#include <stdio.h>
#include <string.h>

static bool ends_with_word(const char *name, int64_t n, const char *word, int64_t n_word)
{
    return n >= n_word && memcmp(name + n - n_word, word, (size_t)n_word) == 0 &&
           (n == n_word || name[n - n_word - 1] == '.');
}

bool module_is(const char *module, const char *word, int64_t n_word)
{
    return ends_with_word(module, (int64_t)strlen(module), word, n_word);
}

bool module_holds(const char *param, const char *word, int64_t n_word)
{
    for (const char *dot = strchr(param, '.'); dot; dot = strchr(dot + 1, '.'))
        if (ends_with_word(param, dot - param, word, n_word)) return true;
    return false;
}

/* The list "a, b" gets a word of n bytes, unless it has it. */
static void add_once(char list[NAMES_MAX_BYTES], const char *word, int64_t n)
{
    const size_t used = strlen(list);
    for (const char *w = list; *w; w += strspn(w, ", ")) {
        const size_t n_w = strcspn(w, ",");
        if (n_w == (size_t)n && memcmp(w, word, n_w) == 0) return;
        w += n_w;
    }
    snprintf(list + used, NAMES_MAX_BYTES - used, "%s%.*s", used ? ", " : "", (int)n, word);
}

/* The last part of the first n bytes of a dotted name. */
static void add_last_part(char list[NAMES_MAX_BYTES], const char *name, int64_t n)
{
    int64_t at = n;
    while (at > 0 && name[at - 1] != '.') at--;
    add_once(list, name + at, n - at);
}

const char *names_of_sites(const ModelView *view, char buf[NAMES_MAX_BYTES])
{
    *buf = '\0';
    for (int64_t i = 0; i < view->n_site; i++)
        add_last_part(buf, view->site[i]->name, (int64_t)strlen(view->site[i]->name));
    return buf;
}

const char *names_of_modules(const ModelView *view, char buf[NAMES_MAX_BYTES])
{
    *buf = '\0';
    for (int64_t i = 0; i < view->n_param; i++) {
        const char *name = view->param[i]->name, *dot = strrchr(name, '.');
        if (dot) add_last_part(buf, name, dot - name);
    }
    return buf;
}

const char *names_tied(const ModelView *view, char buf[NAMES_MAX_BYTES])
{
    *buf = '\0';
    for (int64_t i = 0; i < view->n_param && view->tied && !*buf; i++)
        if (view->param[i]->kind == PARAM_EMBEDDING)
            snprintf(buf, NAMES_MAX_BYTES, "; the output head of this model is its embedding, %s",
                     view->param[i]->name);
    return buf;
}
