/* Keys, values and Zipf's law; see workload.h. */

#include "workload.h"

#include <math.h>
#include <stdlib.h>

/* ---- Keys ----------------------------------------------------------------------------------- */

/* Writes hexadecimal digits that follow from the number; the first 16 are the number's alone. */
static void write_key(char *key, size_t key_bytes, uint64_t number)
{
    uint64_t word = 0;
    for (size_t i = 0; i < key_bytes; i++) {
        if (i % 16 == 0) word = workload_mix(i == 0 ? number : number ^ word);
        key[i] = "0123456789abcdef"[word >> (i % 16 * 4) & 15];
    }
    key[key_bytes] = 0;
}

bool key_pool_create(key_pool *pool, size_t count, size_t key_bytes)
{
    *pool = (key_pool){calloc(count, key_bytes + 1), count, key_bytes};
    if (pool->text == NULL) return false;
    for (size_t i = 0; i < count; i++)
        write_key(pool->text + i * (key_bytes + 1), key_bytes, i);
    return true;
}

void key_pool_destroy(key_pool *pool)
{
    free(pool->text);
    *pool = (key_pool){0};
}

/* ---- Sequences ------------------------------------------------------------------------------ */

static uint64_t next_random(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    return workload_mix(*state);
}

/* Keys in a random order: which key has which rank. */
static void shuffle(uint32_t *keys, uint32_t count, uint64_t *state)
{
    for (uint32_t i = 0; i < count; i++) keys[i] = i;
    for (uint32_t i = count; i > 1; i--) {
        uint32_t other = (uint32_t)(next_random(state) % i);
        uint32_t kept = keys[i - 1];
        keys[i - 1] = keys[other];
        keys[other] = kept;
    }
}

/* The first rank whose cumulated weight is above a number. */
static uint32_t rank_of(const double *cumulated, uint32_t count, double at)
{
    uint32_t low = 0, high = count - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (cumulated[middle] > at) high = middle;
        else low = middle + 1;
    }
    return low;
}

/* Draws the numbers of a sequence. `keys` and `cumulated` are scratch, one of each a key. */
static void draw_zipf(key_sequence *sequence, uint32_t *keys, double *cumulated,
                      uint32_t key_count, double exponent, uint64_t seed)
{
    double sum = 0;
    uint64_t order = 1; /* the same for every sequence, so that threads share what is hot */
    shuffle(keys, key_count, &order);
    for (uint32_t i = 0; i < key_count; i++) cumulated[i] = sum += pow((double)i + 1, -exponent);
    for (size_t i = 0; i < sequence->length; i++) {
        double at = (double)(next_random(&seed) >> 11) * 0x1p-53 * sum;
        sequence->numbers[i] = keys[rank_of(cumulated, key_count, at)];
    }
}

bool key_sequence_create(key_sequence *sequence, const key_pool *pool, size_t length,
                         uint32_t key_count, double exponent, uint64_t seed)
{
    size_t step = pool->key_bytes + 1;
    uint32_t *keys = calloc(key_count, sizeof *keys);
    double *cumulated = calloc(key_count, sizeof *cumulated);
    *sequence = (key_sequence){calloc(length, sizeof *sequence->numbers), calloc(length, step),
                               length, pool->key_bytes};
    bool is_made = keys != NULL && cumulated != NULL && sequence->numbers != NULL &&
                   sequence->text != NULL;
    if (is_made) draw_zipf(sequence, keys, cumulated, key_count, exponent, seed);
    for (size_t i = 0; is_made && i < length; i++)
        memcpy(sequence->text + i * step, key_pool_at(pool, sequence->numbers[i]), step);
    free(keys);
    free(cumulated);
    if (!is_made) key_sequence_destroy(sequence);
    return is_made;
}

void key_sequence_destroy(key_sequence *sequence)
{
    free(sequence->numbers);
    free(sequence->text);
    *sequence = (key_sequence){0};
}
