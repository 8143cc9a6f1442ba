// In the source tree, the values that client and daemon share are in protocol/job.h; where this library is installed, that
// file is here.
#pragma once

#include "protocol/job.h"  // IWYU pragma: export
