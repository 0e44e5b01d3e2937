// SPDX-License-Identifier: Apache-2.0

package embedded

import "time"

func init() { scriptTimeout = time.Second }
