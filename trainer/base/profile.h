/* profile.h — where the time of a run goes: ops, products and named phases, in seconds of this rank.
 *
 * One clock: at any moment one entry runs and takes the time, so the entries add up to the whole.
 * Off at first, and then one branch. Rank: local; called from one thread, outside parallel regions. */
#ifndef TRAINER_BASE_PROFILE_H
#define TRAINER_BASE_PROFILE_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef enum ProfileKind {
    PROFILE_FORWARD, /* of the op of that name */
    PROFILE_BACKWARD,
    PROFILE_PHASE, /* of a step, outside ops */
    PROFILE_APART  /* not of a step (saving, evaluation): what is entered inside counts for it */
} ProfileKind;

extern bool profile_is_on; /* to be read only */

void profile_start(void); /* drops what was measured, and measures from now on */
void profile_stop(void);

/* The entry of this name takes the time until the matching leave, without what is entered in
 * between. Gives what leave wants. `name` must live until the end. */
int profile_enter_entry(ProfileKind kind, const char *name);
void profile_leave_entry(int before);
static inline int profile_enter(ProfileKind kind, const char *name)
{
    return profile_is_on ? profile_enter_entry(kind, name) : -1;
}
static inline void profile_leave(int before)
{
    if (before >= 0) profile_leave_entry(before);
}

void profile_flops(double flops); /* done by the entry that runs */
void profile_product(int64_t m, int64_t n, int64_t k, double seconds); /* counts its FLOPs, too */
void profile_step_done(void);

typedef struct ProfileSums {
    double whole_s, steps_s, apart_s; /* whole = steps + apart */
    int64_t n_step;
} ProfileSums;
ProfileSums profile_sums(void);

/* The tables. product_gflops: what a big product reaches here. */
void profile_print(FILE *out, double product_gflops);
#endif
