/* pss_peak.c — runs a command, and says at its end how much memory its process tree had at most: the sum of the
 * proportional set sizes. The kernel walks all pages for these, so they are asked for only when the sum of the resident sets,
 * which costs little and is looked at ten times a second, is higher than ever by more than a 500th.
 *
 *   pss_peak FILE COMMAND ARG ...      FILE gets the peak in MB, the seconds the command took, and the highest resident set of one
 *                                      process in MB, which no look can miss; gives the command's exit code */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_PROCESS = 4096 };

typedef struct Process {
    int pid, parent;
    int in_tree;
} Process;

static int parent_of(int pid)
{
    char path[64], line[512];
    int parent = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *f = fopen(path, "r");
    if (!f) return 0;
    if (fgets(line, sizeof line, f)) {
        const char *name_end = strrchr(line, ')');
        if (name_end) sscanf(name_end + 1, " %*c %d", &parent);
    }
    fclose(f);
    return parent;
}

static long pss_kb(int pid)
{
    char path[64], line[256];
    long kb = 0;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
    FILE *f = fopen(path, "r");
    if (!f) return 0; /* gone meanwhile */
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "Pss: %ld", &kb) == 1) break;
    fclose(f);
    return kb;
}

static long rss_kb(int pid)
{
    char path[64];
    long pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", pid);
    FILE *f = fopen(path, "r");
    if (!f) return 0;
    if (fscanf(f, "%*d %ld", &pages) != 1) pages = 0;
    fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* `root` and all that descend from it; returns how many. */
static int list_tree(int root, Process *p)
{
    int n = 0, grew = 1, n_in = 0;
    DIR *d = opendir("/proc");
    if (!d) return 0;
    for (struct dirent *e = readdir(d); e && n < MAX_PROCESS; e = readdir(d))
        if (isdigit((unsigned char)*e->d_name)) {
            const int pid = atoi(e->d_name);
            p[n++] = (Process){pid, parent_of(pid), pid == root};
        }
    closedir(d);
    while (grew) {
        grew = 0;
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n && !p[i].in_tree; j++)
                if (p[j].in_tree && p[j].pid == p[i].parent) grew = p[i].in_tree = 1;
    }
    for (int i = 0; i < n; i++)
        if (p[i].in_tree) p[n_in++] = p[i];
    return n_in;
}

static long sum_kb(const Process *p, int n, long (*kb_of)(int pid))
{
    long kb = 0;
    for (int i = 0; i < n; i++) kb += kb_of(p[i].pid);
    return kb;
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
    static Process tree[MAX_PROCESS];
    int how = 0;
    long peak = 0, most_rss = 0;
    if (argc < 3) {
        fprintf(stderr, "pss_peak FILE COMMAND ARG ...\n");
        return 64;
    }
    const double begin = now_s();
    const int child = fork();
    if (child == 0) {
        execvp(argv[2], argv + 2);
        perror(argv[2]);
        _exit(127);
    }
    if (child < 0) {
        perror("pss_peak: fork");
        return 71;
    }
    while (waitpid(child, &how, WNOHANG) == 0) {
        const int n = list_tree(child, tree);
        const long rss = sum_kb(tree, n, rss_kb);
        if (rss > most_rss + most_rss / 500) {
            const long pss = sum_kb(tree, n, pss_kb);
            most_rss = rss;
            if (pss > peak) peak = pss;
        }
        nanosleep(&(struct timespec){0, 100000000}, NULL);
    }
    struct rusage used = {0};
    getrusage(RUSAGE_CHILDREN, &used);
    FILE *out = fopen(argv[1], "w");
    if (!out ||
        fprintf(out, "%.1f %.2f %.1f\n", (double)peak / 1024, now_s() - begin,
                (double)used.ru_maxrss / 1024) < 0 ||
        fclose(out) != 0) {
        perror(argv[1]);
        return 74;
    }
    return WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
}
