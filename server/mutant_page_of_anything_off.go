//go:build !mutant_page_of_anything

package server

const mutantPageOfAnything = false
