# PREFIX/bin: what people run. PREFIX/libexec/sandboxd: everything else. PREFIX/share/sandboxd: profiles, presets, filters and schemas.
# The programs find all of it beside the binary that runs, and refuse what is not root's.
include(GNUInstallDirs)

set(libexec libexec/sandboxd)
foreach(program sandboxd sandboxctl)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION bin)
  endif()
endforeach()
foreach(program sandboxd-launcher sandboxd-broker sandboxd-audit sandboxd-profilec sandboxd-jail-files sandboxd-doctor sandboxd-profile
    sandboxd-audit-verify)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION ${libexec})
  endif()
endforeach()
# Executable and not readable for its own id in the jail: what can't be read can't be dumped or traced either (execve(2)).
if(TARGET jail-init)
  install(TARGETS jail-init RUNTIME DESTINATION ${libexec}
    PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_EXECUTE WORLD_EXECUTE)
endif()

# The same data lies beside the programs of the build tree, so that they run from there.
foreach(from seccomp-profiles/profiles seccomp-profiles/filters seccomp-profiles/schema cgroups/presets cgroups/schema)
  get_filename_component(folder ${from} NAME)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/${from}/ DESTINATION share/sandboxd/${folder} FILES_MATCHING PATTERN "*.json")
  file(GLOB data CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${from}/*.json)
  foreach(file ${data})
    get_filename_component(name ${file} NAME)
    configure_file(${file} ${CMAKE_BINARY_DIR}/share/sandboxd/${folder}/${name} COPYONLY)
  endforeach()
endforeach()

set(from ${PROJECT_SOURCE_DIR}/seccomp-profiles/files)
install(DIRECTORY ${from}/ DESTINATION share/sandboxd/files)
file(GLOB data CONFIGURE_DEPENDS ${from}/*)
foreach(file ${data})
  get_filename_component(name ${file} NAME)
  configure_file(${file} ${CMAKE_BINARY_DIR}/share/sandboxd/files/${name} COPYONLY)
endforeach()

foreach(section 1 5 8)
  file(GLOB pages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/man/*.${section})
  if(pages)
    install(FILES ${pages} DESTINATION share/man/man${section})
  endif()
endforeach()
install(FILES README.md CHANGELOG.md SECURITY.md LICENSE docs/sessions.md docs/limits.md docs/python.md DESTINATION share/doc/sandboxd)
set(completions ${PROJECT_SOURCE_DIR}/sandboxd-client/completions)
install(FILES ${completions}/sandboxctl.bash DESTINATION share/bash-completion/completions RENAME sandboxctl OPTIONAL)
install(FILES ${completions}/_sandboxctl DESTINATION share/zsh/site-functions OPTIONAL)
# PYTHONPATH=PREFIX/share/sandboxd/python
install(DIRECTORY ${PROJECT_SOURCE_DIR}/sandboxd-client/python/sandboxd DESTINATION share/sandboxd/python
  FILES_MATCHING PATTERN "*.py" PATTERN "py.typed" PATTERN "__pycache__" EXCLUDE)
