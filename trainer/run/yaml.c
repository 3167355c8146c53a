/* yaml.c — libyaml's events to a tree. libyaml looks at most 1024 characters ahead of the event it gives, so stopping
 * at the first event that is too deep bounds its time too: 1 MiB of any short pattern is answered in 0.2 s. */
#include "trainer/run/yaml.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include <stdio.h>
#include <string.h>
#include <yaml.h>

enum { N_SHOWN = 64 }; /* bytes of foreign text that a message repeats */

typedef struct Builder {
    const char *name;
    int source;
    int depth;
    int64_t n_node;
    Yaml *open[YAML_MAX_DEPTH + 1]; /* open[depth] is the collection that is being filled */
    Yaml *key; /* a key waits for its value: an empty node that becomes the entry */
    Yaml *root;
    int n_document;
} Builder;

Yaml *yaml_create(YamlKind kind, int source)
{
    Yaml *y = mem_alloc(sizeof *y);
    if (!y) return NULL;
    y->kind = kind;
    y->source = source;
    return y;
}

void yaml_destroy(Yaml *y)
{
    if (!y) return;
    for (Yaml *child = y->first, *next; child; child = next) {
        next = child->next;
        yaml_destroy(child);
    }
    mem_free(y->key);
    mem_free(y->text);
    mem_free(y);
}

Yaml *yaml_find(const Yaml *map, const char *key)
{
    if (map->kind != YAML_MAP) return NULL;
    for (Yaml *child = map->first; child; child = child->next)
        if (strcmp(child->key, key) == 0) return child;
    return NULL;
}

Yaml *yaml_at(const Yaml *list, int64_t i)
{
    if (list->kind != YAML_LIST || i < 0) return NULL;
    Yaml *child = list->first;
    while (child && i-- > 0) child = child->next;
    return child;
}

void yaml_append(Yaml *parent, Yaml *child)
{
    *(parent->last ? &parent->last->next : &parent->first) = child;
    parent->last = child;
    parent->n++;
}

/* The pointer that leads to child, and the child before it. */
static Yaml **link_to(Yaml *parent, const Yaml *child, Yaml **before)
{
    Yaml **link = &parent->first;
    for (*before = NULL; *link != child; link = &(*link)->next) *before = *link;
    return link;
}

Yaml *yaml_detach(Yaml *parent, Yaml *child)
{
    Yaml *before;
    *link_to(parent, child, &before) = child->next;
    if (parent->last == child) parent->last = before;
    child->next = NULL;
    parent->n--;
    return child;
}

void yaml_replace(Yaml *parent, Yaml *old, Yaml *child)
{
    Yaml *before;
    *link_to(parent, old, &before) = child;
    child->next = old->next;
    if (parent->last == old) parent->last = child;
    yaml_destroy(old);
}

const char *yaml_kind_name(const Yaml *y)
{
    static const char *const NAMES[] = {"a text", "a list", "a map"};
    return NAMES[y->kind];
}

const char *yaml_printable(const char *text, char *buf, size_t n_buf)
{
    size_t n = 0;
    for (; text[n] && n + 1 < n_buf; n++)
        buf[n] = (unsigned char)text[n] < 0x20 || text[n] == 0x7f ? '?' : text[n];
    if (text[n] && n_buf > 4) {
        n = n_buf - 4;
        while (n > 0 && ((unsigned char)buf[n] & 0xc0) == 0x80) n--; /* never half a character */
        memcpy(buf + n, "...", 3);
        n += 3;
    }
    buf[n] = '\0';
    return buf;
}

static int line_of(const yaml_mark_t *m)
{
    return (int)m->line + 1;
}

static int line_at(const char *text, size_t offset)
{
    int line = 1;
    for (size_t i = 0; i < offset; i++) line += text[i] == '\n';
    return line;
}

/* One place in the open collection, to tell a user where the parser stands. */
static const char *where(const Builder *b, char *buf, size_t n_buf)
{
    const Yaml *at = b->key;
    for (int d = b->depth; !at && d > 0; d--)
        if (b->open[d]->key) at = b->open[d];
    if (!at) return "";
    char shown[N_SHOWN];
    snprintf(buf, n_buf, "%s: ", yaml_printable(at->key, shown, sizeof shown));
    return buf;
}

static Status refuse_extras(const Builder *b, const yaml_event_t *e)
{
    Status rc = ST_OK;
    char at[N_SHOWN + 4];
    const int line = line_of(&e->start_mark);
    const yaml_char_t *anchor = NULL, *tag = NULL;
    if (e->type == YAML_SCALAR_EVENT) {
        anchor = e->data.scalar.anchor;
        tag = e->data.scalar.tag;
    } else if (e->type == YAML_SEQUENCE_START_EVENT) {
        anchor = e->data.sequence_start.anchor;
        tag = e->data.sequence_start.tag;
    } else if (e->type == YAML_MAPPING_START_EVENT) {
        anchor = e->data.mapping_start.anchor;
        tag = e->data.mapping_start.tag;
    }
    CHECK(e->type != YAML_ALIAS_EVENT, CONFIG,
          "%s:%d: %sfound an alias (*), expected the value itself", b->name, line,
          where(b, at, sizeof at));
    CHECK(!anchor, CONFIG, "%s:%d: %sfound an anchor (&), expected a plain value", b->name, line,
          where(b, at, sizeof at));
    CHECK(!tag, CONFIG, "%s:%d: %sfound a tag (!), expected a plain value", b->name, line,
          where(b, at, sizeof at));
    if (e->type == YAML_DOCUMENT_START_EVENT) {
        CHECK(!e->data.document_start.version_directive &&
                  e->data.document_start.tag_directives.start ==
                      e->data.document_start.tag_directives.end,
              CONFIG, "%s:%d: found a directive (%%), expected the keys at once", b->name, line);
        CHECK(b->n_document == 0, CONFIG, "%s:%d: found a second document (---), expected one",
              b->name, line);
    }
out:
    return rc;
}

/* A scalar where a key belongs: it opens the entry that the next value fills. */
static Status take_key(Builder *b, const yaml_event_t *e)
{
    Status rc = ST_OK;
    char shown[N_SHOWN];
    const char *text = (const char *)e->data.scalar.value;
    const int line = line_of(&e->start_mark);
    Yaml *map = b->open[b->depth], *entry = NULL;
    CHECK(e->data.scalar.length > 0, CONFIG, "%s:%d: found an empty key, expected a name", b->name,
          line);
    CHECK(strcmp(text, "<<") != 0, CONFIG,
          "%s:%d: found a merge key (<<), expected a name; `extends:` takes another file", b->name,
          line);
    const Yaml *twin = yaml_find(map, text);
    CHECK(!twin, CONFIG, "%s:%d: %s: found a second time, expected once (first on line %d)",
          b->name, line, yaml_printable(text, shown, sizeof shown), twin->line);
    CHECK(entry = yaml_create(YAML_TEXT, b->source), NOMEM, "yaml: %zu bytes", sizeof *entry);
    entry->line = line;
    entry->column = (int)e->start_mark.column + 1;
    b->key = entry;
    CHECK(entry->key = mem_strdup(text), NOMEM, "yaml: %zu bytes", e->data.scalar.length);
out:
    return rc;
}

/* A value: the waiting entry, a new list item, or the root. */
static Status take_value(Builder *b, const yaml_event_t *e, YamlKind kind)
{
    Status rc = ST_OK;
    char at[N_SHOWN + 4];
    Yaml *y = b->key;
    b->key = NULL;
    if (!y) {
        CHECK(y = yaml_create(kind, b->source), NOMEM, "yaml: %zu bytes", sizeof *y);
        y->line = line_of(&e->start_mark);
        y->column = (int)e->start_mark.column + 1;
    }
    y->kind = kind;
    if (b->depth > 0)
        yaml_append(b->open[b->depth], y);
    else
        b->root = y;
    CHECK(b->depth == 0 || b->open[b->depth]->n <= YAML_MAX_ENTRIES, CONFIG,
          "%s:%d: found more than %d entries in one %s", b->name, y->line, YAML_MAX_ENTRIES,
          b->open[b->depth]->kind == YAML_MAP ? "map" : "list");
    CHECK(++b->n_node <= YAML_MAX_NODES, CONFIG, "%s:%d: found more than %d values", b->name,
          y->line, YAML_MAX_NODES);
    if (kind != YAML_TEXT) {
        CHECK(b->depth < YAML_MAX_DEPTH, CONFIG, "%s:%d: %sfound nesting deeper than %d levels",
              b->name, y->line, where(b, at, sizeof at), YAML_MAX_DEPTH);
        b->open[++b->depth] = y;
        goto out;
    }
    const char *text = (const char *)e->data.scalar.value;
    y->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    CHECK(y->text = mem_strdup(text), NOMEM, "yaml: %zu bytes", e->data.scalar.length);
out:
    return rc;
}

static Status take_event(Builder *b, const yaml_event_t *e)
{
    Status rc = ST_OK;
    const bool key_due = b->depth > 0 && b->open[b->depth]->kind == YAML_MAP && !b->key;
    const bool starts = e->type == YAML_SEQUENCE_START_EVENT || e->type == YAML_MAPPING_START_EVENT;
    TRY(refuse_extras(b, e));
    CHECK(!(key_due && starts), CONFIG, "%s:%d: found a list or map as a key, expected a name",
          b->name, line_of(&e->start_mark));
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        b->n_document++;
        break;
    case YAML_SEQUENCE_START_EVENT:
        TRY(take_value(b, e, YAML_LIST));
        break;
    case YAML_MAPPING_START_EVENT:
        TRY(take_value(b, e, YAML_MAP));
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        b->depth--;
        break;
    case YAML_SCALAR_EVENT:
        CHECK(!memchr(e->data.scalar.value, 0, e->data.scalar.length), CONFIG,
              "%s:%d: found a NUL, expected text", b->name, line_of(&e->start_mark));
        if (key_due)
            TRY(take_key(b, e));
        else
            TRY(take_value(b, e, YAML_TEXT));
        break;
    default:
        break;
    }
out:
    return rc;
}

static Status parser_failed(const yaml_parser_t *p, const Builder *b, const char *text, size_t n)
{
    Status rc = ST_OK;
    char at[N_SHOWN + 4];
    const char *problem = p->problem ? p->problem : "no reason given";
    const bool tab = strstr(problem, "cannot start any token") && memchr(text, '\t', n);
    CHECK(p->error != YAML_MEMORY_ERROR, NOMEM, "%s: libyaml is out of memory", b->name);
    CHECK(p->error != YAML_READER_ERROR, CONFIG, "%s:%d: found %s (byte %zu), expected UTF-8 text",
          b->name, line_at(text, p->problem_offset < n ? p->problem_offset : n), problem,
          p->problem_offset);
    CHECK(false, CONFIG, "%s:%d: %sfound no YAML: %s%s%s%s", b->name, line_of(&p->problem_mark),
          where(b, at, sizeof at), p->context ? p->context : "", p->context ? ", " : "", problem,
          tab ? " (a tab? indent with spaces)" : "");
out:
    return rc;
}

Status yaml_parse(const char *name, int source, const char *text, size_t n, Yaml **root)
{
    Status rc = ST_OK;
    Builder b = {.name = name, .source = source};
    yaml_parser_t parser;
    yaml_event_t event;
    bool done = false;
    memset(&parser, 0, sizeof parser);
    CHECK(n <= YAML_MAX_BYTES, CONFIG, "%s: found %zu bytes, expected at most %d", name, n,
          YAML_MAX_BYTES);
    const char *nul = memchr(text, 0, n);
    CHECK(!nul, CONFIG, "%s:%d: found a NUL, expected UTF-8 text", name,
          line_at(text, (size_t)(nul - text)));
    CHECK(yaml_parser_initialize(&parser), NOMEM, "%s: libyaml is out of memory", name);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
    while (!done) {
        if (!yaml_parser_parse(&parser, &event)) TRY(parser_failed(&parser, &b, text, n));
        done = event.type == YAML_STREAM_END_EVENT;
        rc = take_event(&b, &event);
        yaml_event_delete(&event);
        TRY(rc);
    }
    if (!b.root)
        CHECK(b.root = yaml_create(YAML_MAP, source), NOMEM, "yaml: %zu bytes", sizeof *b.root);
    *root = b.root;
    b.root = NULL;
out:
    yaml_parser_delete(&parser);
    yaml_destroy(b.key);
    yaml_destroy(b.root);
    return rc;
}

Status yaml_read_file(const char *path, int source, Yaml **root)
{
    Status rc = ST_OK;
    char *text = NULL;
    size_t n = 0;
    TRY(file_read_all(path, YAML_MAX_BYTES, &text, &n));
    TRY(yaml_parse(path, source, text, n, root));
out:
    mem_free(text);
    return rc;
}
