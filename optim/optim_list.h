/* optim_list.h — every optimizer: one line here, one file optim_<name>.c; included as a list. */
X(adamw)
X(adamw_8bit)
X(sgd)
