/* job.h — a config turned into facts: the line it belongs to, its versions with their data, and the
 * legs to run. */
#ifndef TRAINER_RUN_JOB_H
#define TRAINER_RUN_JOB_H
#include "checkpoints/line.h"
#include "data/data.h"
#include "schedules/path_plan.h"
#include "trainer/io/files.h"
#include "trainer/run/branch_from.h"
#include "trainer/run/config.h"

/* One version of a line with its data; a plain run is a job with one version that has no name. */
typedef struct Version {
    const RunConfig *cfg;
    RunConfig *owned; /* cfg, where it was read back from the line */
    const char *name; /* "" in a plain run */
    const char *of;  /* whose data it trains on: its own, unless it branches from another version */
    int64_t ordinal; /* place in the line, 0 first: the random stream of its sample order */
    PathSteps steps;
    int64_t n_set;
    const DatasetOpts *dataset; /* n_set of them, borrowed */
    TokenSet **train, **held_out;
    int64_t n_eval; /* cfg->eval_datasets, whole */
    TokenSet **eval;
    Sampler *sampler;
    TokenSet **old; /* borrowed: the older training sets that replay or from_scratch draw from */
    int64_t n_old;
} Version;

/* A leg: steps [from, to) on one path, from one checkpoint to the next. Directories are relative to
 * the output directory. */
typedef struct Leg {
    char title[LINE_NAME + 32]; /* "v1 main tail" */
    const char *path;           /* "main" | "branch": the word in metrics and checkpoints */
    int64_t version;            /* index into Job.version: whose data is trained */
    int64_t from, to;
    int64_t sample_step;  /* samples of step s start at (s - sample_step) * global batch */
    SchedSpan span;       /* the schedule's view; span.step is filled per step */
    int64_t sched_shift;  /* subtracted from the step before the schedule sees it */
    bool at_min_lr;       /* every step has the rate that the schedule ends with */
    char start[LINE_DIR]; /* checkpoint it starts from; "": fresh weights (or init_from) */
    char saves[LINE_DIR]; /* where its periodic checkpoints lie */
    char end[LINE_DIR];   /* where its end is published */
    const char *end_kind; /* main | branch_point | release | final */
    bool averages;        /* adds to the running mean of the main path */
    bool beside_next;     /* may run at the same time as the next leg */
} Leg;

enum { JOB_MAX_LEG = 8 };

typedef struct Job {
    const Comm *comm;
    const RunConfig *cfg;
    Tokenizer *tokenizer;
    Line *line;         /* NULL in a plain run */
    BranchFrom *branch; /* NULL unless the config has branch_from */
    DirLock *lock;
    Version *version; /* oldest first; the last one is the config's own */
    int64_t n_version;
    int64_t n_leg;
    Leg leg[JOB_MAX_LEG];
    int64_t reached; /* steps done along the line, as far as this job has looked */
} Job;

typedef enum JobUse {
    JOB_LOOK,
    JOB_TRAIN
} JobUse; /* JOB_TRAIN: makes and locks the output directory first */

/* Reads the line, opens the data of every version that is needed, plans steps and legs, checks that all fits together.
 * Rank    collective
 * Errors  ST_DATA a predecessor is missing or unfinished, its data changed; ST_CONFIG the config contradicts the line,
 *         another job holds the directory
 * Owns    borrows comm and cfg */
CHECKED Status job_open(const Comm *comm, const RunConfig *cfg, JobUse use, Job **job);
void job_close(Job *job);

/* Opens the data of version i and plans its steps; a part of job_open. The older ones are open.
 * Rank: collective. */
CHECKED Status job_open_data(Job *job, int64_t i);

/* Enters the config's version into the line that is in memory. Rank: collective.
 * Errors  ST_CONFIG it has begun before, with options that lead elsewhere */
CHECKED Status job_begin(Job *job);
/* Writes what marks the run as begun: config.yaml, line.json. Once the first leg could be opened: a
 * config that leads nowhere may be corrected. Rank: collective. */
CHECKED Status job_mark(const Job *job);

const Version *job_own(const Job *job);
const Line *job_older_line(const Job *job); /* that holds the older versions; NULL in a plain run */
char *job_path(const Job *job, const char *relative); /* below the output directory; mem_free */
char *job_start_path(const Job *job, const Leg *leg); /* leg->start, in its line; mem_free */
char *job_version_file(const Job *job, const Version *v,
                       const char *name); /* v2/metrics.jsonl; mem_free */
bool job_is_line(const Job *job);

/* Legs are pure arithmetic over versions and paradigm. Rank: replicated. */
CHECKED Status legs_plan(Job *job);
/* What a plain run ends with: "final", all of a model; "adapter", what stands beside frozen weights. */
const char *run_end_kind(const RunConfig *cfg);
SchedPoint leg_rate_at(const Job *job, const Leg *leg, int64_t step);
bool leg_end_has_optimizer(const Job *job, const Leg *leg);
bool leg_averages_at(const Job *job, const Leg *leg, int64_t step); /* after that step */

/* Sample i of the version whose data the leg trains; how many positions of its row hold tokens; fills
 * row b of the batch with it. Rank: local. */
SampleId version_sample(const Version *v, int64_t i);
int64_t version_row_tokens(const Version *v, SampleId id);
void version_row(const Version *v, SampleId id, int64_t b, Batch *batch);
#endif
