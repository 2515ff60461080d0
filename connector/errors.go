package connector

import (
	"fmt"

	"ucwarden/policy"
)

// PrincipalError says that a change was refused, whole, because it names a principal that the workspace does not
// know. The rest of the change may be sent again without that principal. Its class is policy.CodeInvalid and never
// policy.CodeNotFound: that class, from the same call, says that the securable is gone.
type PrincipalError struct {
	Principal policy.Principal // empty when the answer does not tell which of several it was
	Err       error            // the answer
}

func (e *PrincipalError) Error() string {
	if e.Principal.Name == "" {
		return fmt.Sprintf("a principal does not exist in the account: %v", e.Err)
	}
	return fmt.Sprintf("principal %q does not exist in the account: %v", e.Principal.Name, e.Err)
}

// Unwrap returns the answer, below the class of the error.
func (e *PrincipalError) Unwrap() error { return &policy.Error{Code: policy.CodeInvalid, Err: e.Err} }
