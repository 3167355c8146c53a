/* unit_files.c — files, directories, locks and SHA-256. */
#include "tests/test_helper.h"
#include "trainer/io/files.h"
#include "trainer/io/sha256.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char *at(const char *name)
{
    static char path[8][256];
    static int next;
    next = (next + 1) % 8;
    snprintf(path[next], sizeof path[next], "%s/%s", test_dir(), name);
    return path[next];
}

static void expect_content(const char *path, const char *want)
{
    char *text = NULL;
    size_t n = 0;
    T_OK(file_read_all(path, 100, &text, &n));
    T_EQ_STR(text, want);
    T_EQ_I64(n, strlen(want));
    mem_free(text);
}

START_TEST(atomic_write_keeps_the_old_file_until_the_new_one_is_there)
{
    for (int stays = 0; stays <= 1; stays++) {
        T_OK(file_write_atomic(at("a"), "old", 3));
        for (int n = 1;; n++) {
            fault_arm(n, stays);
            const Status rc = file_write_atomic(at("a"), "new one", 7);
            const bool hit = fault_disarm();
            T_TRUE(hit == (rc != ST_OK));
            T_TRUE(rc == ST_OK || rc == ST_IO || rc == ST_NOMEM);
            if (!hit) break;
            T_TRUE(strlen(status_message()) > 0);
            status_clear();
            T_TRUE(!path_exists(at("a.tmp")));
            char *text = NULL;
            size_t size = 0;
            T_OK(file_read_all(at("a"), 100, &text, &size));
            T_TRUE(!strcmp(text, "old") || !strcmp(text, "new one"));
            mem_free(text);
            T_EQ_I64(mem_live(), 0);
            T_OK(file_write_atomic(at("a"), "old", 3));
        }
        expect_content(at("a"), "new one");
    }
}
END_TEST

START_TEST(reading_refuses_what_is_no_file_or_too_long)
{
    char *text = NULL;
    size_t n = 0;
    T_FAILS(file_read_all(at("nothing"), 10, &text, &n), DATA,
            "nothing: cannot open: No such file");
    T_FAILS(file_read_all(test_dir(), 10, &text, &n), DATA, "not a regular file");
    T_OK(file_write_atomic(at("long"), "12345678901", 11));
    T_FAILS(file_read_all(at("long"), 10, &text, &n), DATA, "has 11 bytes, at most 10");
    T_TRUE(mkfifo(at("fifo"), 0600) == 0);
    T_FAILS(file_read_all(at("fifo"), 10, &text, &n), DATA, "not a regular file");
    T_OK(file_write_atomic(at("empty"), "", 0));
    expect_content(at("empty"), "");
}
END_TEST

START_TEST(a_new_file_never_replaces_one_and_compares_to_the_byte)
{
    T_OK(file_write_new(at("b"), "hello", 5));
    T_FAILS(file_write_new(at("b"), "again", 5), IO, "File exists");
    T_OK(file_compare(at("b"), "hello", 5));
    T_FAILS(file_compare(at("b"), "hellO", 5), IO, "byte 4 reads 0x6f, 0x4f was written");
    T_FAILS(file_compare(at("b"), "hell", 4), IO, "has 5 bytes, 4 were written");
    T_FAILS(file_compare(at("none"), "", 0), IO, "cannot open");
    int64_t n = 0;
    T_OK(file_bytes(at("b"), &n));
    T_EQ_I64(n, 5);
    T_OK(file_sync(at("b")));
    T_OK(file_remove(at("b")));
    T_OK(file_remove(at("b")));
}
END_TEST

START_TEST(directories_appear_and_vanish_whole)
{
    T_OK(dir_make(at("x/y/z")));
    T_OK(dir_make(at("x/y/z")));
    T_FAILS(dir_make_new(at("x")), IO, "File exists");
    T_OK(file_write_atomic(at("x/y/f"), "f", 1));
    T_FAILS(dir_make(at("x/y/f/g")), IO, "x/y/f: cannot make the directory: File exists");
    T_OK(dir_make_new(at("new")));
    T_FAILS(dir_publish(at("new"), at("x")), IO, "cannot rename to");
    T_OK(dir_make(at("hollow")));
    T_FAILS(dir_publish(at("new"), at("hollow")), IO, "File exists");
    T_OK(dir_publish(at("new"), at("x/published")));
    T_TRUE(path_is_dir(at("x/published")) && !path_exists(at("new")));
    T_OK(dir_remove(at("x")));
    T_TRUE(!path_exists(at("x")));
    T_OK(dir_remove(at("x")));
}
END_TEST

START_TEST(removing_a_tree_follows_no_link)
{
    T_OK(dir_make(at("outside")));
    T_OK(file_write_atomic(at("outside/kept"), "k", 1));
    T_OK(dir_make(at("tree/sub")));
    T_TRUE(symlink(at("outside"), at("tree/sub/link")) == 0);
    T_OK(dir_remove(at("tree")));
    T_TRUE(!path_exists(at("tree")));
    expect_content(at("outside/kept"), "k");
}
END_TEST

START_TEST(listing_is_sorted)
{
    T_OK(dir_make(at("list")));
    for (int i = 40; i > 0; i--) {
        char name[32];
        snprintf(name, sizeof name, "list/f%02d", i);
        T_OK(file_write_atomic(at(name), "", 0));
    }
    char **names = NULL;
    int64_t n = 0;
    T_OK(dir_list(at("list"), &names, &n));
    T_EQ_I64(n, 40);
    T_EQ_STR(names[0], "f01");
    T_EQ_STR(names[39], "f40");
    dir_list_free(names, n);
    T_FAILS(dir_list(at("no-list"), &names, &n), DATA, "No such file");
}
END_TEST

START_TEST(paths_are_taken_apart_and_put_together)
{
    static const char *const parents[][2] = {{"a/b", "a"},      {"a/b/", "a"}, {"a", "."},
                                             {"/a", "/"},       {"/", "/"},    {"a//b", "a"},
                                             {"/a/b/c", "/a/b"}};
    static const char *const joins[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"a", "/b", "/b"}, {"", "b", "b"}};
    for (int64_t i = 0; i < N_OF(parents); i++) {
        char *p = path_parent(parents[i][0]);
        T_EQ_STR(p, parents[i][1]);
        mem_free(p);
    }
    for (int64_t i = 0; i < N_OF(joins); i++) {
        char *p = path_join(joins[i][0], joins[i][1]);
        T_EQ_STR(p, joins[i][2]);
        mem_free(p);
    }
}
END_TEST

START_TEST(free_space_is_told_for_paths_still_to_be_made)
{
    int64_t here = 0, below = 0;
    T_OK(disk_free_bytes(test_dir(), &here));
    T_OK(disk_free_bytes(at("not/yet/there"), &below));
    T_TRUE(here > 0 && below > 0);
    T_OK(disk_free_bytes("relative/not/there", &below));
    T_TRUE(below > 0);
}
END_TEST

START_TEST(a_second_job_is_kept_out_and_told_by_whom)
{
    DirLock *first = NULL, *second = NULL;
    char pid[32];
    snprintf(pid, sizeof pid, "pid %d", (int)getpid());
    T_OK(dir_lock(test_dir(), 0, &first));
    T_FAILS(dir_lock(test_dir(), 0.1, &second), CONFIG, pid);
    dir_unlock(first);
    T_OK(dir_lock(test_dir(), 0, &second));
    dir_unlock(second);
    T_FAILS(dir_lock(at("nowhere"), 0, &second), IO, "cannot open");
}
END_TEST

START_TEST(the_lock_of_a_killed_job_is_taken_over)
{
    int ready[2];
    DirLock *lock = NULL;
    T_TRUE(pipe(ready) == 0);
    const pid_t child = fork();
    T_TRUE(child >= 0);
    if (child == 0) {
        const bool ok = dir_lock(test_dir(), 0, &lock) == ST_OK && write(ready[1], "x", 1) == 1;
        while (ok) pause();
        _exit(1);
    }
    char x = 0;
    close(ready[1]);
    T_EQ_I64(read(ready[0], &x, 1), 1);
    close(ready[0]);
    T_FAILS(dir_lock(test_dir(), 0, &lock), CONFIG, "in use by host");
    T_TRUE(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
    T_OK(dir_lock(test_dir(), 5, &lock));
    dir_unlock(lock);
}
END_TEST

START_TEST(sha256_gives_the_published_digests)
{
    char hex[SHA256_HEX], whole[SHA256_HEX];
    T_OK(sha256_bytes("", 0, hex));
    T_EQ_STR(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    T_OK(sha256_bytes("abc", 3, hex));
    T_EQ_STR(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    T_TRUE(sha256_is_hex(hex));
    hex[3] = 'A';
    T_TRUE(!sha256_is_hex(hex) && !sha256_is_hex("ab"));

    Sha256 *s = NULL;
    int64_t n = 0;
    T_OK(sha256_begin(&s));
    sha256_add(s, "ab", 2);
    T_OK(sha256_peek(s, hex));
    T_EQ_STR(hex, "fb8e20fc2e4c3f248c60c39bd652f3c1347298bb977b8b4d5903b85055620603");
    sha256_add(s, "c", 1);
    sha256_end(s, whole);
    T_EQ_STR(whole, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");

    T_OK(file_write_atomic(at("abc"), "abc", 3));
    T_OK(sha256_file(at("abc"), hex, &n));
    T_EQ_STR(hex, whole);
    T_EQ_I64(n, 3);
    T_FAILS(sha256_file(at("none"), hex, &n), DATA, "none");
}
END_TEST

START_TEST(nothing_is_leaked)
{
    T_EQ_I64(mem_live(), 0);
}
END_TEST

int main(void)
{
    const TTest *t[] = {atomic_write_keeps_the_old_file_until_the_new_one_is_there,
                        reading_refuses_what_is_no_file_or_too_long,
                        a_new_file_never_replaces_one_and_compares_to_the_byte,
                        directories_appear_and_vanish_whole,
                        removing_a_tree_follows_no_link,
                        listing_is_sorted,
                        paths_are_taken_apart_and_put_together,
                        free_space_is_told_for_paths_still_to_be_made,
                        a_second_job_is_kept_out_and_told_by_whom,
                        the_lock_of_a_killed_job_is_taken_over,
                        sha256_gives_the_published_digests,
                        nothing_is_leaked};
    return test_main("unit.files", t, N_OF(t));
}
