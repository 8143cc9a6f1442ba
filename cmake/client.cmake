# libsandboxd-client for other programs: headers, both libraries, a pkg-config file and a CMake package. What is installed may be
# moved: every path in it is relative to where it lies.
include(CMakePackageConfigHelpers)

set(client ${PROJECT_SOURCE_DIR}/sandboxd-client)
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/sandboxd-client)
foreach(target sandboxd-client sandboxd-client-static)
  target_include_directories(${target} INTERFACE $<INSTALL_INTERFACE:include>)
  target_compile_features(${target} INTERFACE cxx_std_20)
endforeach()
set_target_properties(sandboxd-client-static PROPERTIES EXPORT_NAME static)

install(TARGETS sandboxd-client sandboxd-client-static EXPORT sandboxd-client
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT client
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT client)
install(EXPORT sandboxd-client NAMESPACE sandboxd-client:: FILE sandboxd-client-targets.cmake DESTINATION ${package} COMPONENT client)
install(FILES ${client}/include/sandboxd/client.h ${client}/include/sandboxd/files.h ${client}/include/sandboxd/request.h
  ${client}/include/sandboxd/result.h DESTINATION include/sandboxd COMPONENT client)
# What is a reference to it in the source tree is the file itself here.
install(FILES ${PROJECT_SOURCE_DIR}/protocol/job.h DESTINATION include/sandboxd COMPONENT client)

file(RELATIVE_PATH relative_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(${client}/cmake/sandboxd-client.pc.in ${CMAKE_BINARY_DIR}/sandboxd-client.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/sandboxd-client.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT client)
configure_package_config_file(${client}/cmake/sandboxd-client-config.cmake.in ${CMAKE_BINARY_DIR}/sandboxd-client-config.cmake
  INSTALL_DESTINATION ${package})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/sandboxd-client-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/sandboxd-client-config.cmake ${CMAKE_BINARY_DIR}/sandboxd-client-config-version.cmake
  DESTINATION ${package} COMPONENT client)
install(DIRECTORY ${client}/examples DESTINATION share/doc/sandboxd COMPONENT client)
