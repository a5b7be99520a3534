#compdef grapevine
# zsh completion for grapevine; put it as _grapevine into a directory of $fpath, or read it with:
# source <(grapevine completion zsh)
_grapevine() {
  local -a found
  found=("${(@f)$("${words[1]}" complete "${(@)words[2,CURRENT-1]}" "=${words[CURRENT]}" 2>/dev/null)}")
  found=("${(@)found//:/\\:}")
  found=("${(@)found/$'\t'/:}")
  found=("${(@)found:#}")
  if (( $#found )); then
    _describe -V grapevine found
  else
    _files
  fi
}
if [[ "${funcstack[1]}" == _grapevine ]]; then
  _grapevine "$@"
else
  compdef _grapevine grapevine
fi
