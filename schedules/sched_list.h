/* sched_list.h — every schedule: one line here, one file sched_<name>.c; included as a list. */
X(constant)
X(linear)
X(cosine)
X(wsd)
X(inverse_sqrt)
X(path_switching)
