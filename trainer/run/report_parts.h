/* report_parts.h — what the parts of a report share: the run as read, colours, small HTML. */
#ifndef TRAINER_RUN_REPORT_PARTS_H
#define TRAINER_RUN_REPORT_PARTS_H
#include "trainer/run/history.h"
#include "trainer/run/line_tree.h"
#include "trainer/run/text.h"

typedef struct Report {
    const char *dir;
    Line *line; /* NULL in a plain run */
    LineTree *tree;
    History *run; /* one for each version; one in a plain run */
    int64_t n_run;
    HistorySets sets; /* of the evaluations and of the releases */
    json_t *status;   /* status.json; NULL: none */
    char *config;     /* resolved, of the newest version; NULL: none */
} Report;

extern const char REPORT_STYLE[]; /* the style sheet */

const char *report_color(int64_t i); /* "#0072B2"; colour-blind-safe, after Okabe and Ito */
const char *report_version_name(const Report *r, int64_t v);
/* The loss of version v's release on a held-out set; NaN when it was not scored. */
double report_heldout(const Report *r, int64_t v, int64_t set);

void report_int(Text *page, int64_t x); /* with thousands separators */
/* A chip of colour and a label. */
void report_legend(Text *page, int64_t color, const char *label);

/* The sections. Each adds itself, or nothing when the run has nothing for it. */
CHECKED Status report_summary(const Report *r, Text *page);
CHECKED Status report_rates(const Report *r, Text *page);
CHECKED Status report_losses(const Report *r, Text *page);
CHECKED Status report_heldouts(const Report *r, Text *page);
CHECKED Status report_costs(const Report *r, Text *page);
void report_tree(const Report *r, Text *page);
void report_releases(const Report *r, Text *page);
void report_data(const Report *r, Text *page);
void report_ledger(const Report *r, Text *page);
void report_config(const Report *r, Text *page);
#endif
