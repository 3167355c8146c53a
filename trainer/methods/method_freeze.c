/* method_freeze.c — parameters of the model chosen by their names are trained, the rest stays as it
 * is. */
#include "trainer/base/mem.h"
#include "trainer/io/name_pattern.h"
#include "trainer/methods/names.h"

typedef struct FreezeOpts {
    const char *unfrozen_parameters;
} FreezeOpts;

// clang-format off
static const OptSpec FREEZE_OPTS[] = {
    OPT_LIST(FreezeOpts, unfrozen_parameters, NULL, "what is trained: regular expressions, matched from the start of a parameter's name"),
    OPT_END
};
// clang-format on

static Status unfreeze(const OptItem *item, const ModelView *view)
{
    Status rc = ST_OK;
    NamePattern *pattern = NULL;
    bool matches, any = false;
    char tied[NAMES_MAX_BYTES];
    TRY(name_pattern_create(item->text, item->n, &pattern));
    for (int64_t i = 0; i < view->n_param; i++) {
        TRY(name_pattern_matches(pattern, view->param[i]->name, NAME_START, &matches));
        if (matches) view->param[i]->frozen = false;
        any = any || matches;
    }
    CHECK(any, CONFIG,
          "unfrozen_parameters: no parameter's name starts with \"%.*s\"; there are %s ... %s%s",
          (int)item->n, item->text, view->param[0]->name, view->param[view->n_param - 1]->name,
          names_tied(view, tied));
out:
    name_pattern_destroy(pattern);
    return rc;
}

static Status freeze_create(void **self, const void *opts, const ModelView *view, ParamSet *ps)
{
    Status rc = ST_OK;
    const FreezeOpts *o = opts;
    (void)ps;
    *self = NULL;
    CHECK(o->unfrozen_parameters, CONFIG,
          "unfrozen_parameters: is not set, expected what is trained (like [lm_head, "
          "\"model.layers.(10|11)\\\\.\"])");
    for (OptItem i = {0}; opt_next(o->unfrozen_parameters, &i);) TRY(unfreeze(&i, view));
out:
    return rc;
}

static void freeze_destroy(void *self)
{
    (void)self;
}

const MethodDef method_freeze = {.name = "freeze",
                                 .opts = FREEZE_OPTS,
                                 .opts_size = sizeof(FreezeOpts),
                                 .create = freeze_create,
                                 .destroy = freeze_destroy};
