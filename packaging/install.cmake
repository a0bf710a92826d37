# What `cmake --install` copies, and where to.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package ${CMAKE_CURRENT_LIST_DIR})
set(made ${CMAKE_BINARY_DIR}/packaging)

install(TARGETS ptm LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS ptm_tool RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES ${CMAKE_BINARY_DIR}/libptm.a DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${CMAKE_BINARY_DIR}/ptm.o
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/ptm)
install(TARGETS ptm_record ptm_watch LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/ptm)
install(FILES ${CMAKE_SOURCE_DIR}/cli/ptm-gdb.py
  DESTINATION ${CMAKE_INSTALL_DATADIR}/ptm)
install(FILES ${CMAKE_SOURCE_DIR}/include/ptm.h
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
foreach(section 1 3 7)
  file(GLOB pages ${CMAKE_SOURCE_DIR}/man/*.${section})
  install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()

# The prefix may be another one at the time of the installation.
configure_file(${package}/ptm.pc.in ${made}/ptm.pc.in @ONLY)
install(CODE "
  file(READ \"${made}/ptm.pc.in\" text)
  string(REPLACE \"prefix=${CMAKE_INSTALL_PREFIX}\n\"
    \"prefix=\${CMAKE_INSTALL_PREFIX}\n\" text \"\${text}\")
  file(WRITE \"${made}/ptm.pc\" \"\${text}\")")
install(FILES ${made}/ptm.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
configure_package_config_file(${package}/ptm-config.cmake.in
  ${made}/ptm-config.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/ptm
  PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file(${made}/ptm-config-version.cmake
  COMPATIBILITY SameMajorVersion)
install(FILES ${made}/ptm-config.cmake ${made}/ptm-config-version.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/ptm)

# From the tool to the library, wherever both are moved to.
file(RELATIVE_PATH from_tool ${CMAKE_INSTALL_FULL_BINDIR}
  ${CMAKE_INSTALL_FULL_LIBDIR})
target_compile_definitions(ptm_tool PRIVATE
  PTM_INSTALLED_LIBRARY="${from_tool}/libptm.so.${PROJECT_VERSION_MAJOR}"
  PTM_INSTALLED_RECORDER="${from_tool}/ptm/libptm-record.so"
  PTM_INSTALLED_WATCHER="${from_tool}/ptm/libptm-watch.so")
