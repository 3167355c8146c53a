/* unit_h5.c — HDF5 images: what goes in comes out, and a stranger's tricks do not. */
#include "tests/test_helper.h"
#include "trainer/io/files.h"
#include "trainer/io/h5.h"
#include <hdf5.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const int64_t DIM[2] = {3, 4};
static const float VALUES[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, -0.5f};

START_TEST(every_type_comes_back)
{
    static const int64_t n[1] = {100};
    unsigned char data[800], back[800];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (unsigned char)(i * 37 + 1);
    for (int deflate = 0; deflate <= 9; deflate += 3) {
        for (int type = H5_F32; type <= H5_I64; type++) {
            H5Image *f = NULL, *g = NULL;
            const void *bytes = NULL;
            size_t size = 0;
            T_OK(h5_create(0, &f));
            T_OK(h5_put(f, "a/b/c", (H5Type)type, 1, n, deflate, data));
            T_OK(h5_put(f, "a/d", H5_F32, 2, DIM, deflate, VALUES));
            T_OK(h5_finish(f, &bytes, &size));
            T_OK(h5_open(bytes, size, "image", &g));
            memset(back, 0, sizeof back);
            T_OK(h5_get(g, "a/b/c", (H5Type)type, 1, n, back));
            T_TRUE(memcmp(back, data, 100 * h5_type_bytes((H5Type)type)) == 0);
            T_OK(h5_get(g, "a/d", H5_F32, 2, DIM, back));
            T_TRUE(memcmp(back, VALUES, sizeof VALUES) == 0);
            h5_close(g);
            h5_close(f);
        }
    }
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(the_same_data_give_the_same_bytes)
{
    H5Image *f[2] = {NULL};
    const void *bytes[2];
    size_t n[2];
    for (int i = 0; i < 2; i++) {
        T_OK(h5_create(i ? 1 << 20 : 0, &f[i])); /* room asked for or grown into */
        if (i) sleep(1);                         /* and in another second */
        T_OK(h5_put(f[i], "folder/x", H5_F32, 2, DIM, 0, VALUES));
        T_OK(h5_finish(f[i], &bytes[i], &n[i]));
    }
    T_EQ_I64(n[0], n[1]);
    T_TRUE(memcmp(bytes[0], bytes[1], n[0]) == 0);
    for (int i = 0; i < 2; i++) h5_close(f[i]);
}
END_TEST

/* Images one after the other, each read back; *n_wrong: answers that are not as they should be. */
static void *write_and_read(void *n_wrong)
{
    for (int round = 0; round < 200; round++) {
        H5Image *f = NULL, *g = NULL;
        const void *bytes = NULL;
        size_t n = 0;
        float back[12] = {0};
        const bool fine = h5_create(0, &f) == ST_OK &&
                          h5_put(f, "folder/x", H5_F32, 2, DIM, 0, VALUES) == ST_OK &&
                          h5_finish(f, &bytes, &n) == ST_OK &&
                          h5_open(bytes, n, "image", &g) == ST_OK &&
                          h5_get(g, "folder/y", H5_F32, 2, DIM, back) == ST_FORMAT &&
                          h5_get(g, "folder/x", H5_F32, 2, DIM, back) == ST_OK &&
                          memcmp(back, VALUES, sizeof VALUES) == 0 &&
                          strstr(status_message(), "cannot find folder/y");
        *(int *)n_wrong += !fine;
        status_clear();
        h5_close(g);
        h5_close(f);
    }
    return NULL;
}

START_TEST(threads_take_turns)
{
    int n_wrong[2] = {0};
    pthread_t other;
    T_TRUE(pthread_create(&other, NULL, write_and_read, &n_wrong[1]) == 0);
    write_and_read(&n_wrong[0]);
    T_TRUE(pthread_join(other, NULL) == 0);
    T_EQ_I64(n_wrong[0], 0);
    T_EQ_I64(n_wrong[1], 0);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(a_request_that_does_not_fit_is_refused)
{
    static const int64_t other[2] = {4, 3}, longer[1] = {12};
    float back[12];
    H5Image *f = NULL, *g = NULL;
    const void *bytes = NULL;
    size_t n = 0;
    T_OK(h5_create(0, &f));
    T_OK(h5_put(f, "x", H5_F32, 2, DIM, 0, VALUES));
    T_FAILS(h5_put(f, "x", H5_F32, 2, DIM, 0, VALUES), IO, "cannot create x");
    T_OK(h5_finish(f, &bytes, &n));
    T_OK(h5_open(bytes, n, "image", &g));
    T_FAILS(h5_get(g, "y", H5_F32, 2, DIM, back), FORMAT, "cannot find y");
    T_FAILS(h5_get(g, "x", H5_F32, 2, other, back), FORMAT, "shape (3,4), expected (4,3)");
    T_FAILS(h5_get(g, "x", H5_F32, 1, longer, back), FORMAT, "shape (3,4), expected (12)");
    T_FAILS(h5_get(g, "x", H5_I32, 2, DIM, back), FORMAT, "another number type");
    h5_close(g);
    T_FAILS(h5_open("no HDF5 file at all", 19, "stranger.h5", &g), FORMAT,
            "stranger.h5: HDF5 cannot open");
    T_FAILS(h5_open(bytes, n / 2, "half.h5", &g), FORMAT, "half.h5");
    h5_close(f);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(out_of_memory_is_told_and_leaves_nothing)
{
    for (int n = 1;; n++) {
        H5Image *f = NULL;
        const void *bytes = NULL;
        size_t size = 0;
        fault_arm(n, false);
        Status rc = h5_create(0, &f);
        if (rc == ST_OK) rc = h5_put(f, "x", H5_F32, 2, DIM, 0, VALUES);
        if (rc == ST_OK) rc = h5_finish(f, &bytes, &size);
        h5_close(f);
        const bool hit = fault_disarm();
        T_TRUE(hit == (rc != ST_OK));
        T_EQ_I64(mem_live(), 0);
        if (!hit) break;
        T_EQ_STR(status_name(rc), "NOMEM");
        status_clear();
    }
}
END_TEST

/* A stranger's dataset "x": of the right type and shape, but stored in some other way. */
typedef void (*Maker)(hid_t file, hid_t space, hid_t props);

static void external(hid_t file, hid_t space, hid_t props)
{
    H5Pset_external(props, "/etc/hostname", 0, sizeof VALUES);
    H5Dclose(H5Dcreate2(file, "x", H5T_IEEE_F32LE, space, H5P_DEFAULT, props, H5P_DEFAULT));
}

static void contiguous(hid_t file, hid_t space, hid_t props)
{
    H5Dclose(H5Dcreate2(file, "x", H5T_IEEE_F32LE, space, H5P_DEFAULT, props, H5P_DEFAULT));
}

static void soft_link(hid_t file, hid_t space, hid_t props)
{
    H5Dclose(H5Dcreate2(file, "real", H5T_IEEE_F32LE, space, H5P_DEFAULT, props, H5P_DEFAULT));
    H5Lcreate_soft("/real", file, "x", H5P_DEFAULT, H5P_DEFAULT);
}

static void external_link(hid_t file, hid_t space, hid_t props)
{
    (void)space, (void)props;
    H5Lcreate_external("other.h5", "/x", file, "x", H5P_DEFAULT, H5P_DEFAULT);
}

static void virtual_set(hid_t file, hid_t space, hid_t props)
{
    H5Pset_virtual(props, space, "other.h5", "/x", space);
    H5Dclose(H5Dcreate2(file, "x", H5T_IEEE_F32LE, space, H5P_DEFAULT, props, H5P_DEFAULT));
}

static void other_filter(hid_t file, hid_t space, hid_t props)
{
    const hsize_t chunk[2] = {3, 4};
    H5Pset_chunk(props, 2, chunk);
    H5Pset_scaleoffset(props, H5Z_SO_FLOAT_DSCALE, 2);
    H5Dclose(H5Dcreate2(file, "x", H5T_IEEE_F32LE, space, H5P_DEFAULT, props, H5P_DEFAULT));
}

static void a_group(hid_t file, hid_t space, hid_t props)
{
    (void)space, (void)props;
    H5Gclose(H5Gcreate2(file, "x", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
}

START_TEST(tricks_of_strange_files_are_refused)
{
    static const struct {
        Maker make;
        const char *why;
    } tricks[] = {{external, "not stored in chunks"},
                  {contiguous, "not stored in chunks"},
                  {soft_link, "soft or external link"},
                  {external_link, "soft or external link"},
                  {virtual_set, "not stored in chunks"},
                  {other_filter, "uses filter 6"},
                  {a_group, "cannot open x"}};
    const hsize_t dim[2] = {3, 4};
    for (int64_t i = 0; i < N_OF(tricks); i++) {
        char path[256], *bytes = NULL;
        size_t n = 0;
        float back[12];
        H5Image *f = NULL;
        snprintf(path, sizeof path, "%s/trick-%d.h5", test_dir(), (int)i);
        const hid_t file = H5Fcreate(path, H5F_ACC_EXCL, H5P_DEFAULT, H5P_DEFAULT);
        const hid_t space = H5Screate_simple(2, dim, NULL), props = H5Pcreate(H5P_DATASET_CREATE);
        T_TRUE(file >= 0 && space >= 0 && props >= 0);
        tricks[i].make(file, space, props);
        T_TRUE(H5Pclose(props) >= 0 && H5Sclose(space) >= 0 && H5Fclose(file) >= 0);
        T_OK(file_read_all(path, 1 << 20, &bytes, &n));
        T_OK(h5_open(bytes, n, path, &f));
        T_FAILS(h5_get(f, "x", H5_F32, 2, DIM, back), FORMAT, tricks[i].why);
        h5_close(f);
        mem_free(bytes);
    }
}
END_TEST

int main(void)
{
    const TTest *t[] = {every_type_comes_back,
                        the_same_data_give_the_same_bytes,
                        threads_take_turns,
                        a_request_that_does_not_fit_is_refused,
                        out_of_memory_is_told_and_leaves_nothing,
                        tricks_of_strange_files_are_refused};
    return test_main("unit.h5", t, N_OF(t));
}
