/* h5.c — the core driver of HDF5 over memory of ours.
 *
 * The callbacks below hand the driver our own buffer: a file being built grows inside it, so the
 * finished bytes need no second copy; a file being read stays where the caller has it. */
#include "trainer/io/h5.h"
#include "trainer/base/mem.h"
#include <hdf5.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { INCREMENT = 4096, MAX_NAME = 1024 };

struct H5Image {
    hid_t file; /* < 0: closed */
    const char *label;
    unsigned char *bytes; /* the image; ours unless borrowed */
    size_t n, capacity;
    bool borrowed, no_memory;
};

/* The library keeps one state for all files; whether it was built for threads is its packager's choice. */
static pthread_mutex_t library = PTHREAD_MUTEX_INITIALIZER;

static void enter(void)
{
    pthread_mutex_lock(&library);
}

static void leave(void)
{
    pthread_mutex_unlock(&library);
}

size_t h5_type_bytes(H5Type type)
{
    static const size_t bytes[] = {
        [H5_F32] = 4, [H5_I32] = 4, [H5_U16] = 2, [H5_U8] = 1, [H5_I64] = 8};
    return bytes[type];
}

static hid_t type_id(H5Type type)
{
    switch (type) {
    case H5_F32:
        return H5T_IEEE_F32LE;
    case H5_I32:
        return H5T_STD_I32LE;
    case H5_U16:
        return H5T_STD_U16LE;
    case H5_U8:
        return H5T_STD_U8LE;
    case H5_I64:
        return H5T_STD_I64LE;
    }
    return H5I_INVALID_HID;
}

static herr_t keep_innermost(unsigned i, const H5E_error2_t *e, void *text)
{
    (void)i;
    snprintf(text, MAX_NAME, "%s", e->desc ? e->desc : "no description");
    return 0;
}

static const char *h5_why(void)
{
    static _Thread_local char text[MAX_NAME];
    snprintf(text, sizeof text, "no description");
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, keep_innermost, text);
    return text;
}

/* What HDF5 answered, as ours: `what` and `name` complete "HDF5 cannot ...". */
static Status said(const H5Image *f, int64_t answer, Status failure, const char *what,
                   const char *name)
{
    if (answer >= 0) return ST_OK;
    if (f->no_memory)
        return status_fail(ST_NOMEM, __FILE__, __LINE__, "%s: no memory for %s", f->label, name);
    return status_fail(failure, __FILE__, __LINE__, "%s: HDF5 cannot %s %s: %s", f->label, what,
                       name, h5_why());
}

/* Without the exit handler a failed file cannot crash the program at its end; no plugin is ever
 * loaded. A library built for threads keeps errors, and what it does about them, for each. */
static Status h5_start(void)
{
    static bool started;
    static _Thread_local bool silent;
    Status rc = ST_OK;
    if (silent) goto out;
    CHECK(started || (H5dont_atexit() >= 0 && H5open() >= 0), BUG, "HDF5 does not start");
    CHECK(H5Eset_auto2(H5E_DEFAULT, NULL, NULL) >= 0, BUG, "HDF5 does not stay silent");
    CHECK(H5PLset_loading_state(0) >= 0, BUG, "HDF5 does not switch its plugins off");
    started = silent = true;
out:
    return rc;
}

static bool reserve(H5Image *f, size_t n)
{
    if (n <= f->capacity) return true;
    const size_t wanted = n > 2 * f->capacity ? n : 2 * f->capacity;
    unsigned char *grown = mem_resize(f->bytes, f->n, wanted);
    if (!grown) return false;
    f->bytes = grown;
    f->capacity = wanted;
    return true;
}

static void *image_malloc(size_t n, H5FD_file_image_op_t op, void *udata)
{
    (void)n, (void)op;
    return ((H5Image *)udata)->bytes; /* only asked when reading: the bytes are there already */
}

static void *image_realloc(void *p, size_t n, H5FD_file_image_op_t op, void *udata)
{
    H5Image *f = udata;
    (void)p, (void)op;
    if (f->borrowed || !reserve(f, n)) {
        f->no_memory = true;
        return NULL;
    }
    f->n = n;
    return f->bytes;
}

static void *image_memcpy(void *to, const void *from, size_t n, H5FD_file_image_op_t op,
                          void *udata)
{
    (void)from, (void)n, (void)op, (void)udata;
    return to; /* both are our buffer */
}

static herr_t image_free(void *p, H5FD_file_image_op_t op, void *udata)
{
    (void)p, (void)op, (void)udata;
    return 0; /* h5_close does it */
}

static void *udata_copy(void *udata)
{
    return udata;
}

static herr_t udata_free(void *udata)
{
    (void)udata;
    return 0;
}

static Status access_list(H5Image *f, hid_t *fapl)
{
    Status rc = ST_OK;
    H5FD_file_image_callbacks_t calls = {
        image_malloc, image_memcpy, image_realloc, image_free, udata_copy, udata_free, f};
    *fapl = H5Pcreate(H5P_FILE_ACCESS);
    TRY(said(f, *fapl, ST_BUG, "make", "an access list"));
    TRY(said(f, H5Pset_fapl_core(*fapl, INCREMENT, 0), ST_BUG, "choose", "its core driver"));
    TRY(said(f, H5Pset_libver_bounds(*fapl, H5F_LIBVER_V110, H5F_LIBVER_V110), ST_BUG, "set",
             "its format"));
    TRY(said(f, H5Pset_file_image_callbacks(*fapl, &calls), ST_BUG, "take", "our memory"));
    if (f->borrowed)
        TRY(said(f, H5Pset_file_image(*fapl, f->bytes, f->n), ST_BUG, "take", "the image"));
out:
    return rc;
}

/* HDF5 takes two open files of one name for the same file, and refuses an image whose name exists
 * on disk. */
static void fresh_name(char name[64])
{
    static atomic_llong n_image;
    snprintf(name, 64, "/dev/null/image-%lld", n_image++);
}

static void close_list(hid_t list)
{
    if (list >= 0) ASSERT(H5Pclose(list) >= 0);
}

Status h5_create(size_t capacity, H5Image **out)
{
    Status rc = ST_OK;
    hid_t fapl = H5I_INVALID_HID, fcpl = fapl;
    char name[64];
    H5Image *f = NULL;
    *out = NULL;
    enter();
    TRY(h5_start());
    f = mem_alloc(sizeof *f);
    CHECK(f, NOMEM, "no memory for an HDF5 image of %zu bytes", sizeof *f);
    f->file = H5I_INVALID_HID;
    f->label = "new image";
    CHECK(reserve(f, capacity), NOMEM, "no memory for an HDF5 image of %zu bytes", capacity);
    TRY(access_list(f, &fapl));
    fresh_name(name);
    fcpl = H5Pcreate(H5P_FILE_CREATE);
    TRY(said(f, fcpl, ST_BUG, "make", "a list for the root folder"));
    TRY(said(f, H5Pset_obj_track_times(fcpl, 0), ST_BUG, "leave out the times of",
             "the root folder"));
    f->file = H5Fcreate(name, H5F_ACC_TRUNC, fcpl, fapl);
    TRY(said(f, f->file, ST_IO, "create", "the image"));
    *out = f;
    f = NULL;
out:
    close_list(fcpl);
    close_list(fapl);
    leave();
    h5_close(f);
    return rc;
}

/* The folders before the last name; without times, so that the same data give the same bytes. */
static Status make_folders(H5Image *f, const char *name)
{
    Status rc = ST_OK;
    char path[MAX_NAME];
    hid_t props = H5I_INVALID_HID, group = props;
    CHECK(strlen(name) < sizeof path, BUG, "a dataset's name has %zu characters", strlen(name));
    props = H5Pcreate(H5P_GROUP_CREATE);
    TRY(said(f, props, ST_IO, "make a list for", name));
    TRY(said(f, H5Pset_obj_track_times(props, 0), ST_IO, "leave out the times of", name));
    for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
        memcpy(path, name, (size_t)(slash - name));
        path[slash - name] = '\0';
        const htri_t there = H5Lexists(f->file, path, H5P_DEFAULT);
        TRY(said(f, there, ST_IO, "look for", path));
        if (there > 0) continue;
        group = H5Gcreate2(f->file, path, H5P_DEFAULT, props, H5P_DEFAULT);
        TRY(said(f, group, ST_IO, "make the folder", path));
        TRY(said(f, H5Gclose(group), ST_IO, "close the folder", path));
    }
out:
    close_list(props);
    return rc;
}

Status h5_put(H5Image *f, const char *name, H5Type type, int n_dim, const int64_t *dim, int deflate,
              const void *data)
{
    Status rc = ST_OK;
    hid_t space = H5I_INVALID_HID, props = space, set = space;
    hsize_t dims[H5_MAX_DIM] = {0};
    enter();
    CHECK(n_dim >= 1 && n_dim <= H5_MAX_DIM, BUG, "%s: %d dims", name, n_dim);
    for (int i = 0; i < n_dim; i++) dims[i] = (hsize_t)dim[i];
    TRY(make_folders(f, name));
    space = H5Screate_simple(n_dim, dims, NULL);
    TRY(said(f, space, ST_IO, "make a space for", name));
    props = H5Pcreate(H5P_DATASET_CREATE);
    TRY(said(f, props, ST_IO, "make a list for", name));
    TRY(said(f, H5Pset_obj_track_times(props, 0), ST_IO, "leave out the times of", name));
    TRY(said(f, H5Pset_chunk(props, n_dim, dims), ST_IO, "set the chunk of", name));
    if (deflate > 0) {
        TRY(said(f, H5Pset_shuffle(props), ST_IO, "shuffle", name));
        TRY(said(f, H5Pset_deflate(props, (unsigned)deflate), ST_IO, "deflate", name));
    }
    TRY(said(f, H5Pset_fletcher32(props), ST_IO, "checksum", name));
    set = H5Dcreate2(f->file, name, type_id(type), space, H5P_DEFAULT, props, H5P_DEFAULT);
    TRY(said(f, set, ST_IO, "create", name));
    TRY(said(f, H5Dwrite(set, type_id(type), H5S_ALL, H5S_ALL, H5P_DEFAULT, data), ST_IO, "write",
             name));
out:
    if (set >= 0) {
        const Status closed = said(f, H5Dclose(set), ST_IO, "close", name);
        if (rc == ST_OK) rc = closed;
    }
    close_list(props);
    if (space >= 0) ASSERT(H5Sclose(space) >= 0);
    leave();
    return rc;
}

Status h5_finish(H5Image *f, const void **bytes, size_t *n)
{
    Status rc = ST_OK;
    enter();
    const herr_t flushed = H5Fflush(f->file, H5F_SCOPE_GLOBAL), closed = H5Fclose(f->file);
    f->file = H5I_INVALID_HID;
    TRY(said(f, flushed, ST_IO, "flush", "the image"));
    TRY(said(f, closed, ST_IO, "close", "the image"));
    *bytes = f->bytes;
    *n = f->n;
out:
    leave();
    return rc;
}

Status h5_open(const void *bytes, size_t n, const char *label, H5Image **out)
{
    Status rc = ST_OK;
    hid_t fapl = H5I_INVALID_HID;
    char name[64];
    H5Image *f = NULL;
    *out = NULL;
    enter();
    TRY(h5_start());
    f = mem_alloc(sizeof *f);
    CHECK(f, NOMEM, "no memory for an HDF5 image of %zu bytes", sizeof *f);
    *f =
        (H5Image){.file = H5I_INVALID_HID, .label = label, .n = n, .capacity = n, .borrowed = true};
    f->bytes = (unsigned char *)(uintptr_t)bytes; /* opened read-only: never written through */
    TRY(access_list(f, &fapl));
    fresh_name(name);
    f->file = H5Fopen(name, H5F_ACC_RDONLY, fapl);
    TRY(said(f, f->file, ST_FORMAT, "open", "the file"));
    *out = f;
    f = NULL;
out:
    close_list(fapl);
    leave();
    h5_close(f);
    return rc;
}

/* Soft and external links lead to places the caller did not ask for: only hard links are followed.
 */
static Status check_links(H5Image *f, const char *name)
{
    Status rc = ST_OK;
    char path[MAX_NAME];
    CHECK(strlen(name) < sizeof path, FORMAT, "%s: name of %zu bytes", f->label, strlen(name));
    for (size_t i = 1; i <= strlen(name); i++) {
        if (name[i] != '/' && name[i] != '\0') continue;
        H5L_info_t info;
        memcpy(path, name, i);
        path[i] = '\0';
        TRY(said(f, H5Lget_info(f->file, path, &info, H5P_DEFAULT), ST_FORMAT, "find", path));
        CHECK(info.type == H5L_TYPE_HARD, FORMAT, "%s: %s is a soft or external link", f->label,
              path);
    }
out:
    return rc;
}

/* Only chunks lie in the file itself for sure; contiguous and virtual data may point elsewhere. */
static Status check_storage(H5Image *f, const char *name, hid_t props)
{
    Status rc = ST_OK;
    CHECK(H5Pget_layout(props) == H5D_CHUNKED, FORMAT, "%s: %s is not stored in chunks", f->label,
          name);
    const int n_filter = H5Pget_nfilters(props);
    for (int i = 0; i < n_filter; i++) {
        unsigned flags, config;
        size_t n_value = 0;
        const H5Z_filter_t id =
            H5Pget_filter2(props, (unsigned)i, &flags, &n_value, NULL, 0, NULL, &config);
        CHECK(id == H5Z_FILTER_FLETCHER32 || id == H5Z_FILTER_SHUFFLE || id == H5Z_FILTER_DEFLATE,
              FORMAT, "%s: %s uses filter %d", f->label, name, (int)id);
    }
out:
    return rc;
}

static void print_dims(int n_dim, const hsize_t *dim, char *text, size_t n_text)
{
    size_t used = (size_t)snprintf(text, n_text, "(");
    for (int i = 0; i < n_dim && used < n_text; i++)
        used += (size_t)snprintf(text + used, n_text - used, i ? ",%llu" : "%llu",
                                 (unsigned long long)dim[i]);
    if (used < n_text) snprintf(text + used, n_text - used, ")");
}

static Status check_shape(H5Image *f, const char *name, hid_t space, int n_dim, const int64_t *dim)
{
    Status rc = ST_OK;
    hsize_t found[H5S_MAX_RANK], wanted[H5_MAX_DIM];
    char found_text[H5S_MAX_RANK * 21 + 3], wanted_text[H5_MAX_DIM * 21 + 3];
    const int n_found = H5Sget_simple_extent_dims(space, found, NULL);
    TRY(said(f, n_found, ST_FORMAT, "tell the shape of", name));
    for (int i = 0; i < n_dim; i++) wanted[i] = (hsize_t)dim[i];
    print_dims(n_found, found, found_text, sizeof found_text);
    print_dims(n_dim, wanted, wanted_text, sizeof wanted_text);
    CHECK(n_found == n_dim && memcmp(found, wanted, (size_t)n_dim * sizeof *found) == 0, FORMAT,
          "%s: %s has shape %s, expected %s", f->label, name, found_text, wanted_text);
out:
    return rc;
}

Status h5_get(H5Image *f, const char *name, H5Type type, int n_dim, const int64_t *dim, void *data)
{
    Status rc = ST_OK;
    hid_t set = H5I_INVALID_HID, props = set, space = set, stored = set;
    enter();
    CHECK(n_dim >= 1 && n_dim <= H5_MAX_DIM, BUG, "%s: %d dims", name, n_dim);
    TRY(check_links(f, name));
    set = H5Dopen2(f->file, name, H5P_DEFAULT);
    TRY(said(f, set, ST_FORMAT, "open", name));
    props = H5Dget_create_plist(set);
    TRY(said(f, props, ST_FORMAT, "tell the storage of", name));
    TRY(check_storage(f, name, props));
    space = H5Dget_space(set);
    TRY(said(f, space, ST_FORMAT, "tell the space of", name));
    TRY(check_shape(f, name, space, n_dim, dim));
    stored = H5Dget_type(set);
    TRY(said(f, stored, ST_FORMAT, "tell the type of", name));
    CHECK(H5Tequal(stored, type_id(type)) > 0, FORMAT, "%s: %s has another number type", f->label,
          name);
    TRY(said(f, H5Dread(set, type_id(type), H5S_ALL, H5S_ALL, H5P_DEFAULT, data), ST_FORMAT, "read",
             name));
out:
    if (stored >= 0) ASSERT(H5Tclose(stored) >= 0);
    if (space >= 0) ASSERT(H5Sclose(space) >= 0);
    close_list(props);
    if (set >= 0) ASSERT(H5Dclose(set) >= 0);
    leave();
    return rc;
}

void h5_close(H5Image *f)
{
    if (!f) return;
    enter();
    if (f->file >= 0)
        (void)H5Fclose(f->file); /* an unfinished image is thrown away, whatever HDF5 says */
    leave();
    if (!f->borrowed) mem_free(f->bytes);
    mem_free(f);
}
