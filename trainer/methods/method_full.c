/* method_full.c — every parameter of the model is trained. */
#include "trainer/models/hook.h"

static const OptSpec FULL_OPTS[] = {OPT_END};

static Status full_create(void **self, const void *opts, const ModelView *view, ParamSet *ps)
{
    (void)opts;
    (void)ps;
    *self = NULL;
    for (int64_t i = 0; i < view->n_param; i++) view->param[i]->frozen = false;
    return ST_OK;
}

static void full_destroy(void *self)
{
    (void)self;
}

const MethodDef method_full = {
    .name = "full", .opts = FULL_OPTS, .create = full_create, .destroy = full_destroy};
