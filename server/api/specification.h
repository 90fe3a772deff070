/* The specification of the API (openapi/openapi.yaml), carried in the binary. */
#pragma once

#include <stddef.h>

extern const unsigned char specification_yaml[];
extern const size_t specification_yaml_size;
extern const unsigned char specification_json[];
extern const size_t specification_json_size;
