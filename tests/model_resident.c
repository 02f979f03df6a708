/* The random operations of model_random.c where every hit leaves its lease resident, and every
   other entry takes the word over: stamps are brought back at every turn, and the order is still
   exact.

   model_resident [operations [first seed]]; 10,000,000 operations at the usual scale. */

#define SARKI_HOT_UNITS (UINT64_MAX / 2)
#define SARKI_YOUNG_UNITS 0
#define SARKI_IS_HOT(last, stamp) true
#include "model_random.c"
