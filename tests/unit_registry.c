/* unit_registry.c — a file that defines an implementation stands in its list (the linker finds the reverse). */
#include "tests/test_helper.h"
#include <dirent.h>
#include <stdio.h>
#include <string.h>

/* X(<name>) in the list, <kind>_<name> = {...} in <kind>_<name>.c. */
static const struct {
    const char *folder, *kind, *list;
} registries[] = {
    {"trainer/tensor", "op", "trainer/tensor/op_list.h"},
    {"trainer/models", "model", "trainer/models/model_list.h"},
    {"schedules", "sched", "schedules/sched_list.h"},
    {"optim", "optim", "optim/optim_list.h"},
    {"data", "data", "data/data_list.h"},
};

static void root_path(char *path, size_t n, const char *tail)
{
    const char *slash = strrchr(__FILE__, '/');
    snprintf(path, n, "%.*s/../%s", slash ? (int)(slash - __FILE__) : 1, slash ? __FILE__ : ".",
             tail);
}

static char *read_text(const char *tail)
{
    char path[1024];
    root_path(path, sizeof path, tail);
    FILE *f = fopen(path, "r");
    ck_assert_msg(f, "cannot open %s", path);
    fseek(f, 0, SEEK_END);
    const size_t n = (size_t)ftell(f);
    rewind(f);
    char *text = mem_alloc(n + 1);
    T_TRUE(text && fread(text, 1, n, f) == n);
    fclose(f);
    return text;
}

/* Does <kind>_<name>.c define the symbol of that name? */
static bool defines(const char *folder, const char *stem)
{
    char file[512], symbol[256];
    snprintf(file, sizeof file, "%s/%s.c", folder, stem);
    snprintf(symbol, sizeof symbol, " %s = {", stem);
    char *text = read_text(file);
    const bool found = strstr(text, symbol);
    mem_free(text);
    return found;
}

START_TEST(every_implementation_is_listed)
{
    for (int64_t i = 0; i < N_OF(registries); i++) {
        const char *kind = registries[i].kind;
        char path[1024], entry[256], stem[256];
        char *list = read_text(registries[i].list);
        int n_found = 0;
        root_path(path, sizeof path, registries[i].folder);
        DIR *dir = opendir(path);
        T_TRUE(dir);
        for (const struct dirent *e; (e = readdir(dir));) {
            const size_t n = strlen(e->d_name), n_kind = strlen(kind);
            if (n < n_kind + 4 || n >= sizeof stem || strcmp(e->d_name + n - 2, ".c") != 0)
                continue;
            if (strncmp(e->d_name, kind, n_kind) != 0 || e->d_name[n_kind] != '_') continue;
            snprintf(stem, sizeof stem, "%.*s", (int)n - 2, e->d_name);
            if (!defines(registries[i].folder, stem)) continue;
            snprintf(entry, sizeof entry, "X(%s)", stem + n_kind + 1);
            ck_assert_msg(strstr(list, entry), "%s/%s is not in %s", registries[i].folder,
                          e->d_name, registries[i].list);
            n_found++;
        }
        closedir(dir);
        mem_free(list);
        ck_assert_msg(n_found > 0, "no %s found in %s", kind, registries[i].folder);
    }
}
END_TEST

int main(void)
{
    const TTest *t[] = {every_implementation_is_listed};
    return test_main("unit.registry", t, N_OF(t));
}
