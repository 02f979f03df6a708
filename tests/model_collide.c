/* The random operations of model_random.c with a hash that tells hardly any keys apart: they stand
   in one place of the index, and comparing the keys alone decides. Slow, and still right.

   model_collide [operations [first seed]]; 2,000,000 operations at the usual scale. */

#define SARKI_HASH(secret, key, key_bytes)                                                        \
    ((void)(secret), (void)(key), (uint64_t)(key_bytes) % 4 == 0 ? (uint64_t)3 : (uint64_t)7)
#define USUAL_OPERATIONS 2000000
#include "model_random.c"
