/* line.h — what exists in the output directory of a path-switching job: versions, branch points,
 * releases, and what they cost. Written as line.json by rank 0 alone; every rank reads it. */
#ifndef CHECKPOINTS_LINE_H
#define CHECKPOINTS_LINE_H
#include "checkpoints/ckpt.h"
#include <jansson.h>

enum { LINE_NAME = 64, LINE_DIR = 160, LINE_HASH = 65 };

/* A checkpoint directory below the line; dir "" means: not there yet. */
typedef struct LinePoint {
    char dir[LINE_DIR]; /* relative to the line: "branch-points/v2" */
    int64_t step, tokens;
    char payload_sha256[LINE_HASH], state_sha256[LINE_HASH];
} LinePoint;

/* Executed work. Units: steps are optimizer steps, core_seconds is wall time x cores in use. */
typedef struct LineLedger {
    int64_t steps_main, steps_branch, steps_lost, tokens;
    double core_seconds;
} LineLedger;

typedef struct LineData { /* one dataset of a version, as it was when the version was trained */
    char name[LINE_NAME];
    char *path;
    char fingerprint[LINE_HASH];
    int64_t rows, tokens, documents;
} LineData;

typedef struct LineVersion {
    char name[LINE_NAME], follows[LINE_NAME]; /* follows "": the first */
    char branch_from[LINE_NAME]; /* "" or the version whose branch point this one starts from */
    int64_t first_step, branch_step, end_step;
    int64_t global_batch_size, max_seq_length;
    double decay_fraction, replay;
    int64_t n_data;
    LineData *data;
    LinePoint branch_point, release, averaged, main_end;
    json_t *heldout, *averaged_heldout; /* of the two releases: { dataset: nats per token } */
    LineLedger ledger;
} LineVersion;

typedef struct Line {
    char *dir;
    char paradigm[32];
    int64_t n_version;
    LineVersion *version; /* in the order they were started */
} Line;

/* Reads dir/line.json; a directory without one gives an empty line.
 * Rank    local (all ranks may read)
 * Errors  ST_FORMAT damaged or of a newer format */
CHECKED Status line_load(const char *dir, Line **line);
void line_destroy(Line *line);
CHECKED Status line_save(const Line *line); /* atomic. Rank: local (rank 0) */
json_t *line_to_json(const Line *line);     /* new reference; NULL: out of memory */

LineVersion *line_find(const Line *line, const char *name); /* NULL: not there */
/* A new zeroed version at the end. The pointer is valid until the next line_add. */
CHECKED Status line_add(Line *line, const char *name, LineVersion **v);
CHECKED Status line_add_data(LineVersion *v, const LineData *d); /* copies */
const LineVersion *line_follower(const Line *line,
                                 const char *name); /* who follows; NULL: nobody */
void line_point(const Ckpt *k, const char *dir, LinePoint *p); /* what a checkpoint says of itself */
LineLedger line_total(const Line *line);
#endif
