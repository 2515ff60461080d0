// Package guard refuses plans that would take away too much, or by what is not certain. It takes the totals of a plan and what
// is known besides ([Input]); a [Guard] returns a refusal that says why, or nil. What a guard refuses is applied in no part,
// unless a person approved exactly that plan. Package connector asks the guards before it applies anything.
package guard
