# bash completion for grapevine; read it with: source <(grapevine completion bash)
_grapevine() {
  local IFS=$'\n'
  COMPREPLY=($("${COMP_WORDS[0]}" complete "${COMP_WORDS[@]:1:COMP_CWORD-1}" "=${COMP_WORDS[COMP_CWORD]}" 2>/dev/null | cut -f 1))
}
complete -o default -F _grapevine grapevine
