/* unit_tape.c — what the tape keeps, drops, computes again, and how often it asks for memory. */
#include "tests/test_helper.h"
#include "trainer/base/rng.h"
#include "trainer/tensor/tape.h"
#include <math.h>
#include <omp.h>

enum { N = 70, C = 48 }; /* more than one chunk of rows */

/* y = x + rmsnorm(x, w0) w1^T, `depth` times with the same weights, and a linear head. */
typedef struct Toy {
    ParamSet *ps;
    real *grad;
    real x[N * C], y[N * C], dw[2][C * C + C];
    bool blocks;
    bool over; /* sums lie in the place of what they add to */
} Toy;

static void toy_init(Toy *toy)
{
    Rng r;
    rng_init(&r, 3, 0);
    *toy = (Toy){0};
    T_OK(params_create(&toy->ps));
    T_OK(params_add(toy->ps, "norm", PARAM_NORM, 1, (int64_t[]){C}));
    T_OK(params_add(toy->ps, "mix", PARAM_MATRIX, 2, (int64_t[]){C, C}));
    T_OK(params_add(toy->ps, "bias", PARAM_BIAS, 1, (int64_t[]){C}));
    T_OK(params_seal(toy->ps));
    for (int64_t i = 0; i < params_count(toy->ps); i++) {
        const Param *p = params_at(toy->ps, i);
        for (int64_t j = 0; j < p->n; j++) p->val[j] = (real)(0.2 * rng_normal(&r));
    }
    for (int i = 0; i < N * C; i++) toy->x[i] = (real)rng_normal(&r);
    toy->grad = mem_array(params_flat_n(toy->ps), sizeof(real));
    T_TRUE(toy->grad);
    params_bind_grad(toy->ps, toy->grad);
}

static void toy_fini(Toy *toy)
{
    params_destroy(toy->ps);
    mem_free(toy->grad);
}

static void toy_freeze(Toy *toy, const char *name)
{
    params_find(toy->ps, name)->grad = NULL;
}

static Status toy_layer(Tape *t, const void *ctx, Tensor *x, Tensor **y)
{
    Status rc = ST_OK;
    const Toy *toy = *(Toy *const *)ctx;
    Tensor *norm, *mix, *bias, *h;
    TRY(tape_param(t, params_find(toy->ps, "norm"), &norm));
    TRY(tape_param(t, params_find(toy->ps, "mix"), &mix));
    TRY(tape_param(t, params_find(toy->ps, "bias"), &bias));
    TRY(tape_rmsnorm(t, x, norm, 1e-5, &h));
    TRY(tape_linear(t, h, mix, bias, &h));
    TRY(tape_swiglu(t, h, x, &h));
    TRY(toy->over ? tape_add_over(t, h, x, y) : tape_add(t, x, h, y));
out:
    return rc;
}

static Status toy_forward(const Toy *toy, Tape *t, int depth, Tensor **y)
{
    Status rc = ST_OK;
    TRY(tape_const(t, DT_REAL, toy->x, 2, (int64_t[]){N, C}, y));
    for (int i = 0; i < depth; i++) {
        if (toy->blocks)
            TRY(tape_block(t, toy_layer, &toy, sizeof(Toy *), *y, y));
        else
            TRY(toy_layer(t, &toy, *y, y));
    }
out:
    return rc;
}

/* Runs forward and backward from zeroed gradients; the bits of values and gradients in one number.
 */
static uint64_t toy_run(Toy *toy, Tape *t, int depth)
{
    Tensor *y;
    const size_t grad_bytes = (size_t)params_flat_n(toy->ps) * sizeof(real);
    memset(toy->grad, 0, grad_bytes);
    tape_reset(t);
    T_OK(toy_forward(toy, t, depth, &y));
    const uint64_t values = rng_hash_bytes(y->val, (uint64_t)y->n * sizeof(real), 0);
    T_OK(tape_backward(t, y));
    T_EQ_I64(tape_n_op(t), 0);
    return rng_hash_bytes(toy->grad, grad_bytes, values);
}

START_TEST(records_only_what_lies_above_a_trainable)
{
    Toy toy;
    Tape *t;
    Tensor *y;
    toy_init(&toy);
    T_OK(tape_create(&t));
    T_OK(toy_forward(&toy, t, 1, &y));
    T_EQ_I64(tape_n_op(t), 4);
    T_TRUE(y->needs_grad);

    tape_reset(t);
    toy_freeze(&toy, "norm"); /* the first layer's rmsnorm is left out, the second's is not */
    T_OK(toy_forward(&toy, t, 2, &y));
    T_EQ_I64(tape_n_op(t), 3 + 4);

    tape_reset(t);
    toy_freeze(&toy, "mix");
    toy_freeze(&toy, "bias");
    T_OK(toy_forward(&toy, t, 2, &y));
    T_EQ_I64(tape_n_op(t), 0);
    T_TRUE(!y->needs_grad);
    T_OK(tape_backward(t, y)); /* nothing to do */
    T_TRUE(!y->grad);

    params_bind_grad(toy.ps, toy.grad);
    tape_reset(t);
    tape_no_grad(t, true);
    T_OK(toy_forward(&toy, t, 2, &y));
    T_EQ_I64(tape_n_op(t), 0);
    tape_destroy(t);
    toy_fini(&toy);
}
END_TEST

START_TEST(a_frozen_parameter_gets_nothing_and_changes_nothing_else)
{
    Toy toy;
    Tape *t;
    toy_init(&toy);
    T_OK(tape_create(&t));
    toy_run(&toy, t, 2);
    const Param *mix = params_find(toy.ps, "mix"), *bias = params_find(toy.ps, "bias");
    real all[C];
    memcpy(all, bias->grad, sizeof all);
    T_TRUE(mix->grad[0] != 0);
    toy_freeze(&toy, "mix");
    toy_run(&toy, t, 2);
    T_TRUE(memcmp(all, bias->grad, sizeof all) == 0);
    for (int64_t i = 0; i < mix->n; i++) T_TRUE(toy.grad[mix->offset + i] == 0);
    tape_destroy(t);
    toy_fini(&toy);
}
END_TEST

START_TEST(computing_again_gives_the_same_bits_in_less_memory)
{
    Toy toy;
    Tape *kept, *again;
    const int depth = 40;
    toy_init(&toy);
    toy.blocks = true;
    T_OK(tape_create(&kept));
    T_OK(tape_create(&again));
    tape_checkpointing(again, true);
    const uint64_t bits = toy_run(&toy, kept, depth);
    T_TRUE(toy_run(&toy, again, depth) == bits);
    toy.blocks = false;
    T_TRUE(toy_run(&toy, kept, depth) == bits);
    ck_assert_uint_gt(tape_bytes(kept), depth * 4 * N * C * sizeof(real));
    ck_assert_uint_lt(tape_bytes(again), tape_bytes(kept) / 2);
    tape_destroy(kept);
    tape_destroy(again);
    toy_fini(&toy);
}
END_TEST

/* A product that is forgotten between forward and backward: same gradients, and the layers share its memory. */
START_TEST(what_is_forgotten_comes_back)
{
    Toy toy;
    Tape *t;
    real grad[2][C * C + 2 * C];
    size_t bytes[2];
    toy_init(&toy);
    for (int brief = 0; brief < 2; brief++) {
        Tensor *x, *w;
        memset(toy.grad, 0, (size_t)params_flat_n(toy.ps) * sizeof(real));
        T_OK(tape_create(&t));
        T_OK(tape_const(t, DT_REAL, toy.x, 2, (int64_t[]){N, C}, &x));
        T_OK(tape_param(t, params_find(toy.ps, "mix"), &w));
        for (int i = 0; i < 200; i++) {
            Tensor *h, *product;
            T_OK(tape_linear(t, x, w, NULL, &h));
            T_OK(brief ? tape_glu_brief(t, ACT_SILU, h, x, &product)
                       : tape_glu(t, ACT_SILU, h, x, &product));
            T_OK(tape_linear(t, product, w, NULL, &x));
            tape_forget(t, product);
            T_TRUE((product->val == NULL) == brief);
        }
        T_OK(tape_backward(t, x));
        bytes[brief] = tape_bytes(t);
        memcpy(grad[brief], toy.grad, (size_t)params_flat_n(toy.ps) * sizeof(real));
        tape_destroy(t);
    }
    T_TRUE(memcmp(grad[0], grad[1], (size_t)params_flat_n(toy.ps) * sizeof(real)) == 0);
    T_TRUE(bytes[1] + 150 * N * C * sizeof(real) < bytes[0]);
    toy_fini(&toy);
}
END_TEST

/* Gate and up, which the activation keeps, go before the backward; a sum that lies over one of them goes with it. */
START_TEST(what_passes_is_gone_and_not_missed)
{
    Toy toy;
    Tape *t;
    real grad[2][C * C + 2 * C];
    size_t bytes[2];
    toy_init(&toy);
    for (int passing = 0; passing < 2; passing++) {
        Tensor *x, *w;
        memset(toy.grad, 0, (size_t)params_flat_n(toy.ps) * sizeof(real));
        T_OK(tape_create(&t));
        T_OK(tape_const(t, DT_REAL, toy.x, 2, (int64_t[]){N, C}, &x));
        T_OK(tape_param(t, params_find(toy.ps, "mix"), &w));
        for (int i = 0; i < 100; i++) {
            Tensor *gate, *up, *product;
            T_OK(passing ? tape_linear_passing(t, x, w, false, NULL, &gate)
                         : tape_linear(t, x, w, NULL, &gate));
            T_OK(passing ? tape_linear_passing(t, x, w, false, NULL, &up)
                         : tape_linear(t, x, w, NULL, &up));
            T_OK(tape_add_over(t, up, x, &up));
            T_OK(tape_glu_brief(t, ACT_SILU, gate, up, &product));
            tape_forget(t, gate);
            tape_forget(t, up);
            T_TRUE((gate->val == NULL) == passing && (up->val == NULL) == passing);
            T_OK(tape_linear(t, product, w, NULL, &x));
            tape_forget(t, product);
        }
        T_OK(tape_backward(t, x));
        bytes[passing] = tape_bytes(t);
        memcpy(grad[passing], toy.grad, (size_t)params_flat_n(toy.ps) * sizeof(real));
        tape_destroy(t);
    }
    T_TRUE(memcmp(grad[0], grad[1], (size_t)params_flat_n(toy.ps) * sizeof(real)) == 0);
    T_TRUE(bytes[1] < bytes[0] + 20 * N * C * sizeof(real)); /* f32: what is kept is as large */
    toy_fini(&toy);
}
END_TEST

static int n_made;

static void count_and_scale(OpCall *k)
{
    n_made++;
    op_scale.fwd(k);
}

/* Made again for a linear layer whose weight is trained, not for one whose weight is frozen. */
START_TEST(what_no_backward_reads_is_not_made_again)
{
    const ScaleArg arg = {3};
    Toy toy;
    Tape *t;
    OpDef counted = op_scale;
    counted.fwd = count_and_scale;
    toy_init(&toy);
    T_OK(tape_create(&t));
    for (int frozen = 0; frozen < 2; frozen++) {
        Tensor *x, *w, *norm, *h, *y;
        tape_reset(t);
        n_made = 0;
        T_OK(tape_const(t, DT_REAL, toy.x, 2, (int64_t[]){N, C}, &x));
        T_OK(tape_param(t, params_find(toy.ps, "norm"), &norm));
        T_OK(tape_rmsnorm(t, x, norm, 1e-5, &x));
        T_OK(tape_param(t, params_find(toy.ps, "mix"), &w));
        if (frozen) w->grad = NULL, w->needs_grad = false;
        T_OK(tape_call_brief(t, &counted, 1, &x, &arg, sizeof arg, &h));
        T_OK(tape_linear(t, h, w, NULL, &y));
        tape_forget(t, h);
        T_OK(tape_backward(t, y));
        T_EQ_I64(n_made, frozen ? 1 : 2);
    }
    tape_destroy(t);
    toy_fini(&toy);
}
END_TEST

START_TEST(turning_in_place_has_the_same_bits)
{
    enum { HALF = 1 };
    static const real cos_of[2 * HALF] = {1, (real)0.8}, sin_of[2 * HALF] = {0, (real)0.6};
    static const int32_t pos[N] = {1, 0, 1};
    const RopeTable table = {2, HALF, cos_of, sin_of};
    Toy toy;
    Tape *t;
    real grad[2][C * C + 2 * C], val[2][N * C];
    toy_init(&toy);
    T_OK(tape_create(&t));
    for (int over = 0; over < 2; over++) {
        Tensor *x, *w, *h, *y;
        memset(toy.grad, 0, (size_t)params_flat_n(toy.ps) * sizeof(real));
        tape_reset(t);
        T_OK(tape_const(t, DT_REAL, toy.x, 2, (int64_t[]){N, C}, &x));
        T_OK(tape_param(t, params_find(toy.ps, "mix"), &w));
        T_OK(tape_linear(t, x, w, NULL, &h));
        T_OK(over ? tape_rope_over(t, h, &table, pos, 1, &y) : tape_rope(t, h, &table, pos, 1, &y));
        T_TRUE((y->val == h->val) == over);
        T_OK(tape_glu(t, ACT_SILU, y, x, &y));
        T_OK(tape_backward(t, y));
        memcpy(val[over], y->val, sizeof val[over]);
        memcpy(grad[over], toy.grad, (size_t)params_flat_n(toy.ps) * sizeof(real));
    }
    T_TRUE(memcmp(val[0], val[1], sizeof val[0]) == 0);
    T_TRUE(memcmp(grad[0], grad[1], (size_t)params_flat_n(toy.ps) * sizeof(real)) == 0);
    tape_destroy(t);
    toy_fini(&toy);
}
END_TEST

START_TEST(without_gradients_a_block_leaves_only_its_result)
{
    enum { DEPTH = 40 };
    Toy toy;
    uint64_t bits[2];
    size_t bytes[2];
    toy_init(&toy);
    for (int blocks = 0; blocks < 2; blocks++) {
        Tape *t;
        Tensor *y;
        toy.blocks = blocks;
        T_OK(tape_create(&t));
        tape_no_grad(t, true);
        T_OK(toy_forward(&toy, t, DEPTH, &y));
        bits[blocks] = rng_hash_bytes(y->val, (uint64_t)y->n * sizeof(real), 0);
        bytes[blocks] = tape_bytes(t);
        tape_destroy(t);
    }
    T_TRUE(bits[0] == bits[1]);
    ck_assert_uint_lt(bytes[1], bytes[0] / 2);
    toy_fini(&toy);
}
END_TEST

START_TEST(bits_do_not_depend_on_the_thread_count)
{
    Toy toy;
    Tape *t;
    toy_init(&toy);
    T_OK(tape_create(&t));
    const int n_thread = omp_get_max_threads();
    omp_set_num_threads(1);
    const uint64_t bits = toy_run(&toy, t, 3);
    for (int n = 2; n <= 4; n++) {
        omp_set_num_threads(n);
        T_TRUE(toy_run(&toy, t, 3) == bits);
    }
    omp_set_num_threads(n_thread);
    tape_destroy(t);
    toy_fini(&toy);
}
END_TEST

START_TEST(a_tensor_used_twice_by_one_op_gets_both_gradients)
{
    Toy toy;
    Tape *t;
    Tensor *norm, *x, *h, *y;
    toy_init(&toy);
    T_OK(tape_create(&t));
    real once[C];
    for (int twice = 0; twice < 2; twice++) {
        memset(toy.grad, 0, (size_t)params_flat_n(toy.ps) * sizeof(real));
        tape_reset(t);
        T_OK(tape_const(t, DT_REAL, toy.x, 2, (int64_t[]){N, C}, &x));
        T_OK(tape_param(t, params_find(toy.ps, "norm"), &norm));
        T_OK(tape_rmsnorm(t, x, norm, 1e-5, &h));
        y = h;
        if (twice) T_OK(tape_add(t, h, h, &y));
        T_OK(tape_backward(t, y));
        const real *d = params_find(toy.ps, "norm")->grad;
        if (!twice)
            memcpy(once, d, sizeof once);
        else
            for (int c = 0; c < C; c++) T_TRUE(d[c] == 2 * once[c]);
    }
    tape_destroy(t);
    toy_fini(&toy);
}
END_TEST

START_TEST(sums_in_place_have_the_same_bits)
{
    Toy toy;
    Tape *t;
    toy_init(&toy);
    T_OK(tape_create(&t));
    for (int checkpointing = 0; checkpointing < 2; checkpointing++) {
        toy.blocks = checkpointing;
        tape_checkpointing(t, checkpointing);
        toy.over = false;
        const uint64_t apart = toy_run(&toy, t, 3);
        toy.over = true;
        T_TRUE(toy_run(&toy, t, 3) == apart);
    }
    tape_destroy(t);
    toy_fini(&toy);
}
END_TEST

/* A leaf belongs to somebody else, and the derivative of attention looks at its values again. */
START_TEST(only_what_nobody_looks_at_again_is_overwritten)
{
    Toy toy;
    Tape *t;
    Tensor *x, *y, *z;
    KeyRange range[N];
    for (int i = 0; i < N; i++) range[i] = (KeyRange){0, N};
    const AttentionArg arg = {
        .keys = {N, N, 1, 1, range}, .n_head = 1, .n_kv_head = 1, .head_dim = C};
    toy_init(&toy);
    T_OK(tape_create(&t));
    T_OK(tape_const(t, DT_REAL, toy.x, 2, (int64_t[]){N, C}, &x));
    T_OK(tape_add_over(t, x, x, &y));
    T_TRUE(y->val != x->val);
    T_OK(tape_add_over(t, y, x, &z));
    T_TRUE(z->val == y->val);
    T_OK(tape_add_over(t, z, z, &y));
    T_TRUE(y->val != z->val);
    T_OK(tape_attention(t, x, x, x, &arg, &y));
    T_OK(tape_add_over(t, y, x, &z));
    T_TRUE(z->val != y->val);
    tape_destroy(t);
    toy_fini(&toy);
}
END_TEST

START_TEST(a_second_piece_allocates_nothing)
{
    Toy toy;
    Tape *t;
    toy_init(&toy);
    toy.blocks = true;
    T_OK(tape_create(&t));
    for (int on = 0; on < 2; on++) {
        tape_checkpointing(t, on);
        toy_run(&toy, t, 4);
        toy_run(&toy, t, 4); /* the first piece's blocks of memory have been joined */
        fault_arm(1, true);
        toy_run(&toy, t, 4);
        T_TRUE(!fault_disarm());
    }
    tape_destroy(t);
    toy_fini(&toy);
}
END_TEST

static Status toy_try(Toy *toy, bool checkpointing)
{
    Status rc = ST_OK;
    Tape *t = NULL;
    Tensor *y;
    TRY(tape_create(&t));
    tape_checkpointing(t, checkpointing);
    TRY(toy_forward(toy, t, 2, &y));
    TRY(tape_backward(t, y));
out:
    tape_destroy(t);
    return rc;
}

START_TEST(running_out_of_memory_is_an_error_and_leaks_nothing)
{
    Toy toy;
    toy_init(&toy);
    toy.blocks = true;
    const int64_t live = mem_live();
    for (int on = 0; on < 2; on++) {
        for (int n = 1;; n++) {
            fault_arm(n, false);
            const Status rc = toy_try(&toy, on);
            const bool hit = fault_disarm();
            T_TRUE(hit == (rc == ST_NOMEM));
            status_clear();
            T_EQ_I64(mem_live(), live);
            if (!hit) break;
        }
    }
    toy_fini(&toy);
}
END_TEST

START_TEST(shapes_that_do_not_fit_are_named)
{
    Toy toy;
    Tape *t;
    Tensor *x, *w, *y;
    static const int32_t ids[] = {0, C};
    toy_init(&toy);
    T_OK(tape_create(&t));
    T_OK(tape_const(t, DT_REAL, toy.x, 2, (int64_t[]){N, C - 1}, &x));
    T_OK(tape_param(t, params_find(toy.ps, "mix"), &w));
    T_FAILS(tape_linear(t, x, w, NULL, &y), SHAPE, "x has 47 columns, w has 48");
    T_FAILS(tape_add(t, x, w, &y), SHAPE, "dim 0 of a is 70, of b 48");
    T_FAILS(tape_embedding(t, w, ids, 2, -1, &y), SHAPE, "id 48 at 1, the table has 48 rows");
    tape_destroy(t);
    toy_fini(&toy);
}
END_TEST

START_TEST(frozen_half_precision_weights_are_read_as_they_are)
{
    /* 1, -2, 0.5, 3 and 0.25, 0, -1, 8 */
    static const uint16_t bf16[8] = {0x3f80, 0xc000, 0x3f00, 0x4040, 0x3e80, 0, 0xbf80, 0x4100};
    static const uint16_t f16[8] = {0x3c00, 0xc000, 0x3800, 0x4200, 0x3400, 0, 0xbc00, 0x4800};
    static const real rows[8] = {1, -2, 0.5, 3, 0.25, 0, -1, 8}, ones[4] = {1, 1, 1, 1};
    static const int32_t ids[] = {1, 0};
    const struct {
        Dtype dtype;
        const void *raw;
    } tables[] = {{DT_BF16, bf16}, {DT_F16, f16}, {DT_REAL, rows}};
    Tape *t;
    Tensor *table, *y, *x;
    T_OK(tape_create(&t));
    for (int64_t i = 0; i < N_OF(tables); i++) {
        T_OK(tape_const(t, tables[i].dtype, tables[i].raw, 2, (int64_t[]){2, 4}, &table));
        T_OK(tape_embedding(t, table, ids, 2, -1, &y));
        T_TRUE(memcmp(y->val, rows + 4, 4 * sizeof(real)) == 0);
        T_TRUE(memcmp(y->val + 4, rows, 4 * sizeof(real)) == 0);
        T_OK(tape_const(t, DT_REAL, ones, 2, (int64_t[]){1, 4}, &x));
        T_OK(tape_linear(t, x, table, NULL, &y));
        T_TRUE(y->val[0] == 2.5 && y->val[1] == 7.25);
    }
    tape_destroy(t);
}
END_TEST

int main(void)
{
    omp_set_num_threads(1); /* tiny loops: waiting for threads would be all the time it takes */
    const TTest *t[] = {
        records_only_what_lies_above_a_trainable,
        a_frozen_parameter_gets_nothing_and_changes_nothing_else,
        computing_again_gives_the_same_bits_in_less_memory,
        what_is_forgotten_comes_back,
        what_passes_is_gone_and_not_missed,
        what_no_backward_reads_is_not_made_again,
        turning_in_place_has_the_same_bits,
        without_gradients_a_block_leaves_only_its_result,
        bits_do_not_depend_on_the_thread_count,
        a_tensor_used_twice_by_one_op_gets_both_gradients,
        sums_in_place_have_the_same_bits,
        only_what_nobody_looks_at_again_is_overwritten,
        a_second_piece_allocates_nothing,
        running_out_of_memory_is_an_error_and_leaks_nothing,
        shapes_that_do_not_fit_are_named,
        frozen_half_precision_weights_are_read_as_they_are,
    };
    return test_main("unit.tape", t, N_OF(t));
}
