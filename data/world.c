/* world.c — people, their facts in every version, and the text that states them.
 *
 * Random streams: one for the surnames, one for each version's people and changes, one for each
 * version's text. So a version does not depend on which later ones exist. */
#include "data/world.h"
#include "data/world_words.h"
#include "trainer/base/mem.h"
#include "trainer/base/rng.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_PEOPLE = 80, MORE_PEOPLE = 24, HELD_OUT_PERCENT = 35, CHANGED_EACH = 12 };
enum { MAX_PEOPLE = FIRST_PEOPLE + (WORLD_MAX_VERSION - 1) * MORE_PEOPLE };
enum {
    WEIGHT_UNCHANGED = 1,
    WEIGHT_NEW = 3,
    WEIGHT_CHANGED = 4
}; /* how often a person is written about */
enum { QUESTION_PERCENT = 10, TWO_FACTS_PERCENT = 40, FILLER_PERCENT = 20, INVERTED_PERCENT = 10 };
enum { STREAM_SURNAMES, STREAM_FACTS = 0x100, STREAM_TEXT = 0x200 };
enum { MAX_LINE = 512 };
static const int64_t MAX_BYTES = INT64_C(1) << 32;

_Static_assert((int)MAX_PEOPLE <= (int)N_SURNAME, "every person has a surname of their own");

typedef struct Person {
    char name[32];
    bool female, held_out;
    int64_t since;                                       /* version */
    int value[WORLD_MAX_VERSION + 1][WORLD_N_ATTRIBUTE]; /* indices, from `since` on */
} Person;

typedef struct World {
    int n_person;
    Person person[MAX_PEOPLE];
} World;

typedef int64_t Counts[MAX_PEOPLE][WORLD_N_ATTRIBUTE];

static int pick(Rng *r, int n)
{
    return (int)rng_below(r, (uint64_t)n);
}

static bool chance(Rng *r, int percent)
{
    return pick(r, 100) < percent;
}

static void shuffle(Rng *r, int *x, int n)
{
    for (int i = n - 1; i > 0; i--) {
        const int j = pick(r, i + 1), keep = x[i];
        x[i] = x[j];
        x[j] = keep;
    }
}

static void add_people(World *w, Rng *r, const int *surname, int64_t version, int n)
{
    for (int i = 0; i < n; i++) {
        Person *p = &w->person[w->n_person];
        const int first = pick(r, N_FIRST);
        snprintf(p->name, sizeof p->name, "%s %s", FIRST_NAMES[first],
                 SURNAMES[surname[w->n_person++]]);
        p->female = first < N_FEMALE;
        p->held_out = i < n * HELD_OUT_PERCENT / 100;
        p->since = version;
        for (int a = 0; a < WORLD_N_ATTRIBUTE; a++)
            p->value[version][a] = pick(r, ATTRIBUTES[a].n_value);
    }
}

/* Of the people who have questions in the text and of those who have none, a dozen move or change
 * job each: a third of them only move, a third get a new job at a new firm, a third move to another
 * firm. */
static void change_people(World *w, Rng *r, int64_t version)
{
    static const int CHANGED[3][WORLD_N_ATTRIBUTE] = {
        {[TOWN] = 1}, {[JOB] = 1, [EMPLOYER] = 1}, {[TOWN] = 1, [EMPLOYER] = 1}};
    for (int held_out = 0; held_out < 2; held_out++) {
        int who[MAX_PEOPLE], n = 0;
        for (int i = 0; i < w->n_person; i++)
            if (w->person[i].held_out == held_out) who[n++] = i;
        shuffle(r, who, n);
        for (int i = 0; i < CHANGED_EACH; i++)
            for (int a = 0; a < WORLD_N_ATTRIBUTE; a++) {
                int *value = &w->person[who[i]].value[version][a];
                const int n_value = ATTRIBUTES[a].n_value;
                if (CHANGED[i % 3][a]) *value = (*value + 1 + pick(r, n_value - 1)) % n_value;
            }
    }
}

static void world_build(World *w, uint64_t seed, int64_t last_version)
{
    Rng r;
    int surname[N_SURNAME];
    for (int i = 0; i < N_SURNAME; i++) surname[i] = i;
    rng_init(&r, seed, STREAM_SURNAMES);
    shuffle(&r, surname, N_SURNAME);
    *w = (World){0};
    for (int64_t v = 1; v <= last_version; v++) {
        rng_init(&r, seed, STREAM_FACTS + (uint64_t)v);
        for (int i = 0; i < w->n_person; i++)
            memcpy(w->person[i].value[v], w->person[i].value[v - 1], sizeof w->person[i].value[v]);
        if (v > 1) change_people(w, &r, v);
        add_people(w, &r, surname, v, v > 1 ? MORE_PEOPLE : FIRST_PEOPLE);
    }
}

static WorldGroup fact_group(const Person *p, int attribute, int64_t version)
{
    if (p->since == version) return WORLD_NEW;
    return p->value[version][attribute] == p->value[version - 1][attribute] ? WORLD_UNCHANGED
                                                                            : WORLD_CHANGED;
}

static int person_weight(const Person *p, int64_t version)
{
    static const int WEIGHT[] = {WEIGHT_UNCHANGED, WEIGHT_CHANGED, WEIGHT_NEW}; /* by WorldGroup */
    int weight = WEIGHT_UNCHANGED;
    for (int a = 0; a < WORLD_N_ATTRIBUTE; a++) {
        const int w = WEIGHT[fact_group(p, a, version)];
        if (w > weight) weight = w;
    }
    return weight;
}

typedef struct Writer {
    const World *world;
    int64_t version, n;
    int phrasings;
    char *text;
    Rng rng;
    int64_t (*count)[WORLD_N_ATTRIBUTE]; /* statements, by person */
} Writer;

static void put(Writer *w, const char *s)
{
    const size_t n = strlen(s);
    memcpy(w->text + w->n, s, n);
    w->n += (int64_t)n;
}

static void put_form(Writer *w, const char *form, const char *subject, const char *value)
{
    for (; *form; form++) {
        if (*form == '@')
            put(w, subject);
        else if (*form == '#')
            put(w, value);
        else
            w->text[w->n++] = *form;
    }
}

static const char *value_name(const Person *p, int64_t version, int attribute)
{
    return ATTRIBUTES[attribute].value[p->value[version][attribute]];
}

static const char *pick_form(Writer *w, int attribute, bool starts_with_person)
{
    const char *form;
    do form = ATTRIBUTES[attribute].form[pick(&w->rng, w->phrasings)];
    while (starts_with_person && form[0] != '@');
    return form;
}

static void put_question(Writer *w, const Person *p)
{
    const int a = pick(&w->rng, WORLD_N_ATTRIBUTE), asked = pick(&w->rng, N_ASKED);
    put_form(w, ATTRIBUTES[a].asked[asked], p->name, value_name(p, w->version, a));
    put(w, "\n");
}

/* The second fact of a line: ". She lives in Ashford", " and lives in Ashford" (" and she lives in
 * Ashford" where the person is not the subject so far) or ". Ann Weaver lives in Ashford". */
static void put_second_fact(Writer *w, const Person *p, int a, bool person_is_subject)
{
    const int joint = pick(&w->rng, 5);
    const bool pronoun = joint == 0, joined = joint == 1 || joint == 2;
    const char *form = pick_form(w, a, pronoun || joined), *value = value_name(p, w->version, a);
    put(w, joined ? " and " : ". ");
    if (joined && person_is_subject)
        put_form(w, form + strlen("@ "), "", value);
    else if (joined)
        put_form(w, form, p->female ? "she" : "he", value);
    else
        put_form(w, form, !pronoun ? p->name : p->female ? "She" : "He", value);
}

static void put_statement(Writer *w, const Person *p)
{
    int64_t *count = w->count[p - w->world->person];
    const int a = pick(&w->rng, WORLD_N_ATTRIBUTE);
    const bool two = chance(&w->rng, TWO_FACTS_PERCENT), filled = chance(&w->rng, FILLER_PERCENT);
    const bool inverted = !two && chance(&w->rng, INVERTED_PERCENT);
    const char *form = inverted ? ATTRIBUTES[a].inverted : pick_form(w, a, false);
    if (filled) put(w, FILLERS[pick(&w->rng, N_FILLER)]);
    const int64_t begin = w->n;
    put_form(w, form, p->name, value_name(p, w->version, a));
    if (filled && isupper((unsigned char)form[0])) w->text[begin] = (char)tolower(form[0]);
    count[a]++;
    if (two) {
        const int b = (a + 1 + pick(&w->rng, WORLD_N_ATTRIBUTE - 1)) % WORLD_N_ATTRIBUTE;
        put_second_fact(w, p, b, form[0] == '@');
        count[b]++;
    }
    put(w, ".\n");
}

/* Lots to draw from: each person as often as they weigh, and everybody who may be asked about. */
typedef struct Lots {
    int n_told, told[MAX_PEOPLE * WEIGHT_CHANGED];
    int n_asked, asked[MAX_PEOPLE];
} Lots;

static Lots make_lots(const World *w, int64_t version)
{
    Lots lots = {0};
    for (int i = 0; i < w->n_person; i++) {
        if (w->person[i].since > version) continue;
        for (int k = person_weight(&w->person[i], version); k > 0; k--)
            lots.told[lots.n_told++] = i;
        if (!w->person[i].held_out) lots.asked[lots.n_asked++] = i;
    }
    return lots;
}

static int64_t recipe_bytes(int64_t version)
{
    return (version == 1 ? 3000 : 2400) * 1024; /* steps of 8 rows of 128 bytes */
}

static Status write_corpus(const World *world, const WorldSpec *spec, int64_t version, Counts count,
                           char **text, int64_t *n_bytes)
{
    Status rc = ST_OK;
    const int64_t wanted = spec->n_bytes ? spec->n_bytes : recipe_bytes(version);
    const Lots lots = make_lots(world, version);
    Writer w = {.world = world,
                .version = version,
                .phrasings = (int)(spec->phrasings ? spec->phrasings : WORLD_PHRASINGS),
                .count = count};
    w.text = mem_alloc((size_t)wanted + MAX_LINE);
    CHECK(w.text, NOMEM, "world: a text of %lld bytes", LL(wanted));
    rng_init(&w.rng, (uint64_t)spec->seed, STREAM_TEXT + (uint64_t)version);
    while (w.n < wanted) {
        const bool ask = chance(&w.rng, QUESTION_PERCENT);
        const int who =
            ask ? lots.asked[pick(&w.rng, lots.n_asked)] : lots.told[pick(&w.rng, lots.n_told)];
        if (ask)
            put_question(&w, &world->person[who]);
        else
            put_statement(&w, &world->person[who]);
    }
    *text = w.text;
    *n_bytes = w.n;
out:
    return rc;
}

static Status check_spec(const WorldSpec *s)
{
    Status rc = ST_OK;
    CHECK(s->version >= 1 && s->version <= WORLD_MAX_VERSION, CONFIG,
          "world: there is no version %lld, only 1 to %d", LL(s->version), WORLD_MAX_VERSION);
    CHECK(s->n_bytes >= 0 && s->n_bytes <= MAX_BYTES, CONFIG,
          "world: a text of %lld bytes, at most %lld are made", LL(s->n_bytes), LL(MAX_BYTES));
    CHECK(s->phrasings >= 0 && s->phrasings <= N_FORM, CONFIG,
          "world: %lld phrasings, there are %d", LL(s->phrasings), N_FORM);
out:
    return rc;
}

Status world_corpus(const WorldSpec *spec, char **text, int64_t *n_bytes)
{
    Status rc = ST_OK;
    World w;
    Counts count = {0};
    TRY(check_spec(spec));
    world_build(&w, (uint64_t)spec->seed, spec->version);
    TRY(write_corpus(&w, spec, spec->version, count, text, n_bytes));
out:
    return rc;
}

const char *world_group_name(WorldGroup g)
{
    static const char *const NAMES[] = {"unchanged", "changed", "new"};
    return NAMES[g];
}

/* Fills in a question form and cuts it behind "? ". */
static void ask(const char *form, const char *name, const char *value, char *question, char *answer)
{
    char line[MAX_LINE] = {0};
    Writer w = {.text = line};
    put_form(&w, form, name, value);
    char *cut = strstr(line, "? ") + strlen("? ");
    strcpy(answer, cut);
    *cut = '\0';
    if (question) strcpy(question, line);
}

static WorldQuestion make_question(const Person *p, int a, int asked, int64_t version,
                                   const int64_t *stated)
{
    const char *form = ATTRIBUTES[a].asked[asked];
    WorldQuestion q = {.attribute = ATTRIBUTES[a].name,
                       .group = fact_group(p, a, version),
                       .held_out = p->held_out};
    const bool changed = q.group == WORLD_CHANGED;
    strcpy(q.person, p->name);
    ask(form, p->name, value_name(p, version, a), q.question, q.answer);
    if (changed) ask(form, p->name, value_name(p, version - 1, a), NULL, q.old_answer);
    for (int64_t v = p->since; v <= version; v++) {
        if (p->value[v][a] == p->value[version][a]) q.statements[v - 1] = stated[v];
        if (changed && p->value[v][a] == p->value[version - 1][a])
            q.old_statements[v - 1] = stated[v];
    }
    return q;
}

Status world_questions(const WorldSpec *spec, WorldQuestion **questions, int64_t *n)
{
    Status rc = ST_OK;
    World w;
    Counts count[WORLD_MAX_VERSION + 1] = {0};
    WorldQuestion *q = NULL;
    int64_t k = 0;
    TRY(check_spec(spec));
    world_build(&w, (uint64_t)spec->seed, spec->version);
    for (int64_t v = 1; v <= spec->version; v++) {
        char *text = NULL;
        int64_t n_bytes;
        TRY(write_corpus(&w, spec, v, count[v], &text, &n_bytes));
        mem_free(text);
    }
    const int64_t n_question = (int64_t)w.n_person * WORLD_N_ATTRIBUTE * N_ASKED;
    q = mem_array(n_question, sizeof *q);
    CHECK(q, NOMEM, "world: %lld questions", LL(n_question));
    for (int i = 0; i < w.n_person; i++)
        for (int a = 0; a < WORLD_N_ATTRIBUTE; a++) {
            int64_t stated[WORLD_MAX_VERSION + 1];
            for (int v = 1; v <= WORLD_MAX_VERSION; v++) stated[v] = count[v][i][a];
            for (int asked = 0; asked < N_ASKED; asked++)
                q[k++] = make_question(&w.person[i], a, asked, spec->version, stated);
        }
    *questions = q;
    *n = k;
out:
    return rc;
}
