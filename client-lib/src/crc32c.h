/* CRC-32C (Castagnoli), as iSCSI and ext4 use it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(const void *data, size_t length);
