/* The cases of unit_hash.c with the product of the hash worked out in 64 bits, as on targets that
   know no number of 128 bits.

   unit_hash_narrow [seed] */

#undef __SIZEOF_INT128__
#include "unit_hash.c"
