/* world.h — the demo world: a little town of people whose facts change from version to version,
 * written as plain sentences, and questions about them.
 *
 * Text and questions are a pure function of the spec, made of integers alone, so they are the same
 * on every machine. Rank: local, all of it. Source: docs/demo-world.md. */
#ifndef DATA_WORLD_H
#define DATA_WORLD_H
#include "trainer/base/status.h"

enum { WORLD_MAX_VERSION = 4, WORLD_N_ATTRIBUTE = 4, WORLD_PHRASINGS = 4 };

typedef struct WorldSpec {
    int64_t version; /* 1 .. WORLD_MAX_VERSION */
    int64_t seed;
    int64_t n_bytes;   /* of the text; 0: the recipe's */
    int64_t phrasings; /* ways to state a fact, 1 .. 8; 0: WORLD_PHRASINGS */
} WorldSpec;

/* What version `spec->version` of the world writes: shuffled lines, the last one whole, so up to a
 * line more than n_bytes. A smaller text of the same world is its beginning.
 *
 * Errors  ST_CONFIG a version, size or number of phrasings that does not exist; ST_NOMEM
 * Owns    *text is the caller's (mem_free), NUL-terminated */
CHECKED Status world_corpus(const WorldSpec *spec, char **text, int64_t *n_bytes);

/* A fact against the version before: new with its person, changed, or unchanged. In version 1 all
 * are new. */
typedef enum WorldGroup { WORLD_UNCHANGED, WORLD_CHANGED, WORLD_NEW } WorldGroup;
const char *world_group_name(WorldGroup g); /* "unchanged" ... */

typedef struct WorldQuestion {
    char question[80];   /* "Where does Ann Weaver live? ", with the last blank */
    char answer[32];     /* "Ashford." */
    char old_answer[32]; /* of the version before, for changed facts; else "" */
    char person[32];
    const char *attribute; /* "town" */
    WorldGroup group;
    bool held_out;                             /* no text of any version asks about this person */
    int64_t statements[WORLD_MAX_VERSION];     /* of the answer, in the text of version 1, 2, ... */
    int64_t old_statements[WORLD_MAX_VERSION]; /* of the old answer */
} WorldQuestion;

/* All questions about all people of the version: two for each fact, by person, attribute, wording.
 *
 * Units   statements are counted in texts of spec->n_bytes (0: each version's own size)
 * Errors  as world_corpus
 * Owns    *questions is the caller's (mem_free) */
CHECKED Status world_questions(const WorldSpec *spec, WorldQuestion **questions, int64_t *n);

/* The same as text, one JSON object a line (docs/demo-world.md, "The question file").
 *
 * Errors  as world_corpus
 * Owns    *text is the caller's (mem_free) */
CHECKED Status world_questions_jsonl(const WorldSpec *spec, char **text, int64_t *n_bytes);
#endif
