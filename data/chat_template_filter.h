/* chat_template_filter.h — what a filter gets; those of lists are in chat_template_filter_list.c. */
#ifndef DATA_CHAT_TEMPLATE_FILTER_H
#define DATA_CHAT_TEMPLATE_FILTER_H
#include "data/chat_template_value.h"

typedef struct Call {
    Run *r;
    Piece name;
    const Value *v; /* what stands before the | */
    const Args *a;
    Value *out;
} Call;

CHECKED Status filter_list(const Call *c);
CHECKED Status filter_first(const Call *c);
CHECKED Status filter_last(const Call *c);
CHECKED Status filter_reverse(const Call *c);
CHECKED Status filter_select(const Call *c);
CHECKED Status filter_reject(const Call *c);
CHECKED Status filter_selectattr(const Call *c);
CHECKED Status filter_rejectattr(const Call *c);
CHECKED Status filter_map(const Call *c);
CHECKED Status filter_join(const Call *c);
#endif
