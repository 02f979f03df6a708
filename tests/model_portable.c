/* The random operations of model_random.c with the choices of portable.h.

   model_portable [operations [first seed]]; 1,000,000 operations at the usual scale. */

#include "portable.h"

#define USUAL_OPERATIONS 1000000
#include "model_random.c"
