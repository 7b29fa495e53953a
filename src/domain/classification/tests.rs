//! Each row of the published mappings, and what must hold for every end whatsoever.

use super::*;
