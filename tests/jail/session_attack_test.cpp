#include "tests/jail/session.h"
