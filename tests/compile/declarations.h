/* Names each public function, type and constant once, from C and from C++: what a consumer sees
   who has the declarations alone. */

#ifndef SARK_DECLARATIONS_H
#define SARK_DECLARATIONS_H

#include "sark_cache.h"

typedef void (*any_function)(void);

static const any_function public_functions[] = {
    (any_function)sark_cache_status_text,
    (any_function)sark_cache_create,
    (any_function)sark_cache_region_bytes,
    (any_function)sark_cache_create_in,
    (any_function)sark_cache_destroy,
    (any_function)sark_cache_get_config,
    (any_function)sark_cache_get,
    (any_function)sark_cache_peek,
    (any_function)sark_cache_contains,
    (any_function)sark_cache_ttl,
    (any_function)sark_cache_pin,
    (any_function)sark_cache_unpin,
    (any_function)sark_cache_set,
    (any_function)sark_cache_add,
    (any_function)sark_cache_replace,
    (any_function)sark_cache_take,
    (any_function)sark_cache_touch,
    (any_function)sark_cache_delete,
    (any_function)sark_cache_clear,
    (any_function)sark_cache_cleanup_expired,
    (any_function)sark_cache_foreach,
    (any_function)sark_cache_check,
    (any_function)sark_cache_size,
    (any_function)sark_cache_metrics_read,
    (any_function)sark_cache_metrics_reset,
};

enum { public_function_count = (int)(sizeof public_functions / sizeof public_functions[0]) };

#endif
